#pragma once

#include <charconv>
#include <cstddef>
#include <dchag/core/error.hpp>
#include <dchag/core/types.hpp>
#include <dchag/io/json.hpp>
#include <dchag/io/safetensors.hpp>
#include <optional>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace dchag::detail {

/// Throws where the values differ, naming the first field that does.
inline void compare(std::string const& source, std::string const& field, Json const* file, Json const* model) {
  auto const text = [](Json const* value) { return value == nullptr ? std::string("absent") : dump_json(*value); };
  auto const differ = [&] {
    fail(source, ": is of another configuration: ", field, " is ", text(file), " in the file and ", text(model),
         " in the model: build the model as the file says, or give another file");
  };
  if (file == nullptr || model == nullptr) differ();
  std::string const prefix = field.empty() ? "" : field + ".";
  if (file->is_object() && model->is_object()) {
    for (auto const& [name, member] : json_object(*model, field))
      compare(source, prefix + name, json_find(*file, name), &member);
    for (auto const& [name, member] : json_object(*file, field))
      if (json_find(*model, name) == nullptr) compare(source, prefix + name, &member, nullptr);
  } else if (file->is_array() && model->is_array()) {
    auto const &left = json_array(*file, field), &right = json_array(*model, field);
    for (std::size_t i = 0; i < std::max(left.size(), right.size()); ++i)
      compare(source, field + "[" + std::to_string(i) + "]", i < left.size() ? &left[i] : nullptr,
              i < right.size() ? &right[i] : nullptr);
  } else if (!(*file == *model)) {
    differ();
  }
}

inline void check_configuration(std::string const& source, std::string const& file, std::string const& model) {
  Json const theirs = parse_json(file, source + ": metadata \"dchag.config\""),
             ours = parse_json(model, "configuration of the model");
  compare(source, "", &theirs, &ours);
}

/// The metadata "dchag.step".
inline Index steps_of(SafetensorsFile const& file) {
  auto const found = file.metadata().find("dchag.step");
  require(found != file.metadata().end(), file.path().string(),
          ": holds parameters only, no state of training: load(model, path) reads it, training starts anew");
  std::string const& text = found->second;
  Index steps = -1;
  auto const [end, error] = std::from_chars(text.data(), text.data() + text.size(), steps);
  require(error == std::errc() && end == text.data() + text.size() && steps >= 0, file.path().string(),
          ": metadata \"dchag.step\" is ", quoted(text), ", expected a number of steps");
  return steps;
}

/// Some names, for a message.
class Names {
 public:
  void add(std::string const& name) {
    if (++count_ <= 5) text_ << (count_ == 1 ? "" : ", ") << name;
  }
  bool empty() const { return count_ == 0; }
  std::string text() const { return text_.str() + (count_ > 5 ? " and " + std::to_string(count_ - 5) + " more" : ""); }

 private:
  std::ostringstream text_;
  std::size_t count_ = 0;
};

enum class OptimizerTensors { ignored, expected };

/// Throws unless the file holds exactly these tensors (each with a name and a shape), of that type where one is given
/// and of any floating-point type else.
template <class Tensors>
void check_tensors(SafetensorsFile const& file, Tensors const& tensors, std::optional<Dtype> dtype,
                   OptimizerTensors optimizer) {
  Names missing, shapes, types, unexpected;
  std::set<std::string_view> names;
  for (auto const& tensor : tensors) {
    names.insert(tensor.name);
    TensorInfo const* found = file.find(tensor.name);
    if (found == nullptr)
      missing.add(tensor.name);
    else if (found->shape != tensor.shape)
      shapes.add(tensor.name + " " + shape_text(found->shape) + " instead of " + shape_text(tensor.shape));
    else if (dtype ? found->dtype != *dtype : !is_floating(found->dtype))
      types.add(tensor.name + " " + std::string(name_of(found->dtype)));
  }
  for (auto const& tensor : file.tensors()) {
    bool const ignored = optimizer == OptimizerTensors::ignored && tensor.name.starts_with("optimizer.");
    if (!ignored && !names.contains(tensor.name)) unexpected.add(tensor.name);
  }
  std::string const source = file.path().string();
  require(missing.empty(), source, ": tensors are missing: ", missing.text(),
          unexpected.empty() ? "" : "; the file holds others: " + unexpected.text());
  require(shapes.empty(), source, ": tensors have other shapes than in the model: ", shapes.text());
  require(types.empty(), source, ": tensors cannot be used as they are stored: ", types.text(),
          dtype ? ": training goes on in the precision that it was saved in" : "");
  require(unexpected.empty(), source, ": holds tensors that the model does not have: ", unexpected.text());
}

}  // namespace dchag::detail
