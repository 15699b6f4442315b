#pragma once

#include <cmath>
#include <dchag/channels/groups.hpp>
#include <dchag/core/types.hpp>
#include <map>
#include <string>
#include <vector>

// The front end written down as its formulas say, number by number, over the tokens that are present alone; with
// derivatives by a tape. For small sizes.
namespace dchag::tests {

/// Every number that was ever computed, with its derivatives by one or two others.
struct Tape {
  struct Entry {
    double value = 0;
    std::size_t left = 0, right = 0;
    double by_left = 0, by_right = 0;
  };
  std::vector<Entry> entries{Entry{}};

  /// Of every entry the derivative of that one by it.
  std::vector<double> slopes(std::size_t of) const {
    std::vector<double> slope(entries.size(), 0.0);
    slope[of] = 1;
    for (std::size_t k = of; k > 0; --k) {
      slope[entries[k].left] += slope[k] * entries[k].by_left;
      slope[entries[k].right] += slope[k] * entries[k].by_right;
    }
    return slope;
  }
};

struct Traced {
  Tape* tape;
  std::size_t at;

  double value() const { return tape->entries[at].value; }
  Traced add(double value, std::size_t left, double by_left, std::size_t right = 0, double by_right = 0) const {
    tape->entries.push_back({value, left, right, by_left, by_right});
    return {tape, tape->entries.size() - 1};
  }
};
inline Traced traced(Tape& tape, double value) { return Traced{&tape, 0}.add(value, 0, 0); }
inline Traced operator+(Traced a, Traced b) { return a.add(a.value() + b.value(), a.at, 1, b.at, 1); }
inline Traced operator*(Traced a, Traced b) { return a.add(a.value() * b.value(), a.at, b.value(), b.at, a.value()); }
inline Traced operator*(Traced a, double b) { return a.add(a.value() * b, a.at, b); }
inline Traced operator/(Traced a, Traced b) {
  return a.add(a.value() / b.value(), a.at, 1 / b.value(), b.at, -a.value() / (b.value() * b.value()));
}
inline Traced exp(Traced a) { return a.add(std::exp(a.value()), a.at, std::exp(a.value())); }

struct NaiveLevel {
  char kind;  // 'a': attention, 'l': Linear
  Index groups;
};

struct NaiveTree {
  Index channels, height, width, patch, embed, heads;
  std::vector<NaiveLevel> levels;
  std::map<std::string, std::vector<Traced>> parameters;
  Tape* tape;

  using Token = std::vector<Traced>;  // [D], or empty where absent

  Traced const& at(std::string const& name, Index index) const {
    return parameters.at(name)[static_cast<std::size_t>(index)];
  }
  Token affine(std::string const& weight, std::string const& bias, Index first_row, Token const& x) const {
    Token y;
    for (Index e = 0; e < embed; ++e) {
      Traced sum = at(bias, first_row + e);
      for (Index d = 0; d < embed; ++d)
        sum = sum + at(weight, (first_row + e) * embed + d) * x[static_cast<std::size_t>(d)];
      y.push_back(sum);
    }
    return y;
  }

  Token tokenize(double const* image, Index c, Index location) const {
    Index const across = width / patch, pixels = patch * patch;
    Token token;
    for (Index e = 0; e < embed; ++e) {
      Traced sum = at("tokenizer.bias", c * embed + e) + at("channel_embed", c * embed + e);
      for (Index p = 0; p < pixels; ++p) {
        Index const y = location / across * patch + p / patch, x = location % across * patch + p % patch;
        sum = sum + at("tokenizer.weight", (c * embed + e) * pixels + p) * image[(c * height + y) * width + x];
      }
      token.push_back(sum);
    }
    return token;
  }

  /// `all` tokens of the unit, of which these are present.
  Token linear(std::string const& prefix, std::vector<Token> const& tokens) const {
    double present = 0;
    for (Token const& token : tokens) present += token.empty() ? 0 : 1;
    if (present == 0) return {};
    Token out;
    for (std::size_t e = 0; e < static_cast<std::size_t>(embed); ++e) {
      Traced sum = traced(*tape, 0);
      for (std::size_t c = 0; c < tokens.size(); ++c)
        if (!tokens[c].empty()) sum = sum + at(prefix + "weight", static_cast<Index>(c)) * tokens[c][e];
      out.push_back(sum * (static_cast<double>(tokens.size()) / present) + at(prefix + "bias", 0));
    }
    return out;
  }

  Token attention(std::string const& prefix, std::vector<Token> const& tokens) const {
    std::string const in = prefix + "in_proj_weight", bias = prefix + "in_proj_bias";
    Token const query = affine(in, bias, 0, parameters.at(prefix + "query"));
    std::vector<Token> keys, values;
    for (Token const& token : tokens)
      if (!token.empty()) {
        keys.push_back(affine(in, bias, embed, token));
        values.push_back(affine(in, bias, 2 * embed, token));
      }
    if (keys.empty()) return {};
    auto const size = static_cast<std::size_t>(embed), head = size / static_cast<std::size_t>(heads);
    Token mixed;
    for (std::size_t first = 0; first < size; first += head) {
      std::vector<Traced> weights;
      Traced total = traced(*tape, 0);
      for (Token const& key : keys) {
        Traced score = traced(*tape, 0);
        for (std::size_t e = first; e < first + head; ++e) score = score + query[e] * key[e];
        weights.push_back(exp(score * (1 / std::sqrt(static_cast<double>(head)))));
        total = total + weights.back();
      }
      for (std::size_t e = first; e < first + head; ++e) {
        Traced sum = traced(*tape, 0);
        for (std::size_t c = 0; c < keys.size(); ++c) sum = sum + weights[c] / total * values[c][e];
        mixed.push_back(sum);
      }
    }
    return affine(prefix + "out_proj.weight", prefix + "out_proj.bias", 0, mixed);
  }

  /// The token of one location of an image [C, H, W], of which channels with present[c] != 0 are read.
  Token evaluate(double const* image, unsigned char const* present, Index location) const {
    std::vector<Token> tokens;
    for (Index c = 0; c < channels; ++c) tokens.push_back(present[c] != 0 ? tokenize(image, c, location) : Token());
    for (std::size_t level = 0; level < levels.size(); ++level) {
      channels::Groups const groups{static_cast<Index>(tokens.size()), levels[level].groups};
      std::vector<Token> next;
      for (Index g = 0; g < groups.groups; ++g) {
        std::string const prefix = "aggregator." + std::to_string(level) + "." + std::to_string(g) + ".";
        std::vector<Token> const own(tokens.begin() + groups.begin(g), tokens.begin() + groups.begin(g + 1));
        next.push_back(levels[level].kind == 'a' ? attention(prefix, own) : linear(prefix, own));
      }
      tokens = std::move(next);
    }
    return tokens.front();
  }
};

}  // namespace dchag::tests
