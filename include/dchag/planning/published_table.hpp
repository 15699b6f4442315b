#pragma once

#include <charconv>
#include <cstdint>
#include <dchag/core/error.hpp>
#include <dchag/planning/published_run.hpp>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace dchag {

/// A run and what was measured of it.
struct PublishedMeasurement {
  PublishedRun run;
  double allocated = 0;  // bytes, as torch.cuda.max_memory_allocated
  double reserved = 0;   // bytes, as torch.cuda.max_memory_reserved
  int retries = 0;       // times that the allocator gave its cache back to find room
  double teraflops = 0;  // as the authors report, a GPU
  double rank_parameters = 0;
  double model_parameters = 0;

  double seconds() const { return work_of(run).operations_a_step() / (teraflops * 1e12); }
};

namespace detail {

inline std::vector<std::string> split_at_commas(std::string_view line) {
  std::vector<std::string> fields;
  for (std::size_t start = 0;;) {
    std::size_t const comma = line.find(',', start);
    fields.emplace_back(line.substr(start, comma - start));
    if (comma == std::string_view::npos) return fields;
    start = comma + 1;
  }
}

/// One row of the table by the names of its columns.
class PublishedRow {
 public:
  PublishedRow(std::vector<std::string> const& names, std::string_view line, std::string place)
      : place_(std::move(place)) {
    auto const fields = split_at_commas(line);
    require(fields.size() == names.size(), place_, ": ", fields.size(), " fields, but ", names.size(), " columns");
    for (std::size_t i = 0; i < names.size(); ++i) fields_[names[i]] = fields[i];
  }

  std::string const& text(std::string const& name) const {
    auto const found = fields_.find(name);
    require(found != fields_.end(), place_, ": column ", name, " is missing");
    return found->second;
  }

  template <class T>
  T number(std::string const& name) const {
    std::string const& field = text(name);
    T value{};
    auto const [end, error] = std::from_chars(field.data(), field.data() + field.size(), value);
    require(error == std::errc() && end == field.data() + field.size(), place_, ": ", name, " = ", field,
            " is not a number");
    return value;
  }

  void fail_at(std::string const& name) const { fail(place_, ": ", name, " = ", text(name), " is not known"); }

 private:
  std::string place_;
  std::map<std::string, std::string> fields_;
};

/// Sets method and part by the authors' name of the architecture; false where that is none of them.
inline bool set_architecture(PublishedRun& run, std::string const& name) {
  using enum PublishedMethod;
  using enum PublishedPart;
  struct Architecture {
    char const* name;
    PublishedMethod method;
    PublishedPart part;
  };
  constexpr Architecture known[] = {{"orbit", TensorParallel, Whole},
                                    {"orbit_token", TensorParallel, Tokens},
                                    {"orbit_token_agg", TensorParallel, Aggregation},
                                    {"orbit_hier_token", LinearTree, Tokens},
                                    {"orbit_hier_token_noagg", GatheredTokens, Aggregation},
                                    {"orbit_hier_token_noagg_self", GatheredTokens, Whole},
                                    {"orbit_hier_token_agg", AttentionTree, Aggregation},
                                    {"orbit_hier", AttentionTree, Whole},
                                    {"orbit_hier_tree", AttentionTree, Whole},
                                    {"orbit_linear_token_agg", LinearTree, Aggregation},
                                    {"orbit_linear", LinearTree, Whole},
                                    {"orbit_linear_tree", LinearTree, Whole}};
  for (Architecture const& architecture : known) {
    if (name != architecture.name) continue;
    run.method = architecture.method;
    run.part = architecture.part;
    return true;
  }
  return false;
}

}  // namespace detail

/// Reads runs from a table with commas and the columns arch, units, D, depth, heads, C, TP, FSDP, DP, B, height, width,
/// patch, masked, allocated_GiB, reserved_GiB, retries, tflops, params_total and params_gpu; rows of the architecture
/// orbit_hier_token_allGather, which gathers tokens and uses none, are left out. Masked runs have the artifact's
/// decoder, two blocks of 128 features. Throws Error naming line and column.
inline std::vector<PublishedMeasurement> read_published_runs(std::filesystem::path const& path) {
  constexpr double gib = 1024.0 * 1024 * 1024;
  std::ifstream file(path);
  require(file.good(), path.string(), ": cannot be read");
  std::string line;
  require(static_cast<bool>(std::getline(file, line)), path.string(), ": is empty");
  auto const names = detail::split_at_commas(line);
  std::vector<PublishedMeasurement> measurements;
  for (int number = 2; std::getline(file, line); ++number) {
    detail::PublishedRow const row(names, line, path.string() + " line " + std::to_string(number));
    auto const whole = [&](char const* name) { return row.number<std::int64_t>(name); };
    if (row.text("arch") == "orbit_hier_token_allGather") continue;
    PublishedMeasurement measured;
    PublishedRun& run = measured.run;
    if (!detail::set_architecture(run, row.text("arch"))) row.fail_at("arch");
    run.units = whole("units");
    run.embed = whole("D");
    run.depth = whole("depth");
    run.heads = whole("heads");
    run.channels = whole("C");
    run.tensor = whole("TP");
    run.shard = whole("FSDP");
    run.data = whole("DP");
    run.batch = whole("B");
    run.height = whole("height");
    run.width = whole("width");
    run.patch = whole("patch");
    run.masked = row.number<double>("masked");
    if (run.masked > 0) {
      run.decoder_embed = 128;
      run.decoder_depth = 2;
    }
    measured.allocated = row.number<double>("allocated_GiB") * gib;
    measured.reserved = row.number<double>("reserved_GiB") * gib;
    measured.retries = row.number<int>("retries");
    measured.teraflops = row.number<double>("tflops");
    measured.model_parameters = row.number<double>("params_total");
    measured.rank_parameters = row.number<double>("params_gpu");
    measurements.push_back(measured);
  }
  return measurements;
}

/// Two runs of the artifact that were disturbed: D 4096 with 128 channels, tokens alone on 8 ranks, and D-CHAG C on 32,
/// took ten times and twice as long as the same with 32 channels, where 96 more add a few hundredths of a second.
inline bool disturbed(PublishedMeasurement const& measured) {
  PublishedRun const& run = measured.run;
  bool const tokens = run.part == PublishedPart::Tokens && run.method != PublishedMethod::TensorParallel;
  bool const attention = run.whole() && run.method == PublishedMethod::AttentionTree;
  return run.embed == 4096 && run.channels == 128 && ((tokens && run.tensor == 8) || (attention && run.tensor == 32));
}

/// Whether constants of PublishedMachine and PublishedCopies are fitted to a run: those with D up to 4096, without the
/// trees of 2 and 8 units and the middle one of three masked runs of a method; of larger D, one that stalls, since a
/// node has but one more that does. The rest is held out.
inline bool fitted(PublishedMeasurement const& measured) {
  PublishedRun const& run = measured.run;
  bool const middle = run.masked > 0 && (run.data == 16 || run.data == 32);
  bool const stalls =
      run.whole() && run.method == PublishedMethod::TensorParallel && run.embed == 6144 && run.tensor == 8;
  return stalls || (run.embed <= 4096 && (run.units == 1 || run.units == 4) && !middle);
}

}  // namespace dchag
