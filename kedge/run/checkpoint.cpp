#include "kedge/run/checkpoint.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <span>
#include <utility>
#include <vector>

#include "kedge/core/errors.h"
#include "kedge/files/hdf5.h"
#include "kedge/files/policy_file.h"
#include "kedge/files/tensor.h"

namespace kedge {

namespace {

constexpr const char* kind = "checkpoint";
constexpr std::uint64_t format = 4;  ///< of the layout below; raised with every change
constexpr std::uint64_t max_count = 1u << 30;

constexpr std::array<std::pair<Stop, const char*>, 4> stop_names = {{{Stop::max_iterations, "max_iterations"},
                                                                     {Stop::converged, "converged"},
                                                                     {Stop::cancelled, "cancelled"},
                                                                     {Stop::numerical_failure, "numerical_failure"}}};

std::string stop_text(const std::optional<Stop>& stop) {
  for (const auto& [value, name] : stop_names)
    if (stop == value) return name;
  return "";
}

std::optional<Stop> read_stop(const hdf5::GroupReader& group) {
  const std::string text = group.text("stop");
  for (const auto& [value, name] : stop_names)
    if (text == name) return value;
  if (!text.empty()) group.fail(fmt::format("attribute stop: found {}", hdf5::quoted(text)));
  return std::nullopt;
}

// A dataset for each array, its columns behind each other: shape [columns, rows] in the file. All names in order in one
// attribute, all single numbers in another (HDF5 takes longer to create an attribute than to fill it). What is stored of
// each name: the kind, and the size of an array, so that a part that was cut is noticed.

constexpr double kWhole = 0, kReal = 1, kArray = 2;
constexpr std::int64_t kMostWhole = std::int64_t{1} << 53;  ///< whole numbers up to here are doubles

void write_state(hdf5::GroupWriter group, const Fields& state) {
  std::vector<std::string> names;
  std::vector<double> kinds, numbers;  ///< kind, rows, columns of each; the numbers
  for (const auto& [name, value] : state) {
    names.push_back(name);
    if (const auto* whole = std::get_if<std::int64_t>(&value)) {
      if (*whole > kMostWhole) throw SystemError(fmt::format("state: {} = {} is too large to be saved", name, *whole));
      kinds.insert(kinds.end(), {kWhole, 0, 0});
      numbers.push_back(static_cast<double>(*whole));
    } else if (const auto* real = std::get_if<double>(&value)) {
      kinds.insert(kinds.end(), {kReal, 0, 0});
      numbers.push_back(*real);
    } else {
      const auto& array = std::get<MatrixXd>(value);
      kinds.insert(kinds.end(), {kArray, static_cast<double>(array.rows()), static_cast<double>(array.cols())});
      group.dataset(name, columns(array), {array.cols(), array.rows()});
    }
  }
  group.attribute("names", names);
  group.attribute("kinds", kinds);
  group.attribute("numbers", numbers);
}

Fields read_state(const hdf5::GroupReader& group) {
  const std::vector<std::string> names = group.texts("names");
  const std::vector<double> kinds = group.reals("kinds"), numbers = group.reals("numbers");
  if (kinds.size() != 3 * names.size())
    group.fail(fmt::format("attribute kinds: found {} for {} names", kinds.size(), names.size()));
  Fields state;
  std::size_t next = 0;
  for (std::size_t i = 0; i < names.size(); ++i) {
    const double type = kinds[3 * i], rows = kinds[3 * i + 1], cols = kinds[3 * i + 2];
    if (type == kArray) {
      if (!(rows >= 0 && cols >= 0 && rows * cols <= max_count))
        group.fail(fmt::format("attribute kinds: found {} x {} for {}", rows, cols, names[i]));
      const auto r = static_cast<Index>(rows), c = static_cast<Index>(cols);
      state.push_back({names[i], from_columns(group.any_doubles(names[i], {c, r}), r, c)});
      continue;
    }
    if (next >= numbers.size()) group.fail(fmt::format("attribute numbers: found {}, too few", numbers.size()));
    const double number = numbers[next++];
    if (type == kReal) {
      state.push_back({names[i], number});
    } else if (type == kWhole && std::abs(number) <= static_cast<double>(kMostWhole) && number == std::floor(number)) {
      state.push_back({names[i], static_cast<std::int64_t>(number)});
    } else {
      group.fail(fmt::format("attribute numbers: found {} for {}", number, names[i]));
    }
  }
  if (next != numbers.size()) group.fail(fmt::format("attribute numbers: found {}, expected {}", numbers.size(), next));
  return state;
}

}  // namespace

void require_same_run(const RunIdentity& found, const RunIdentity& expected, const std::filesystem::path& file) {
  const auto refuse = [&](const char* what, const auto& there, const auto& here) {
    throw InputError(
        fmt::format("{}: belongs to another run: {} = {} there, {} here", file.string(), what, there, here));
  };
  if (found.algorithm != expected.algorithm)
    refuse("algorithm", hdf5::quoted(found.algorithm), hdf5::quoted(expected.algorithm));
  if (found.task != expected.task) refuse("task", hdf5::quoted(found.task), hdf5::quoted(expected.task));
  if (found.task_digest != expected.task_digest)
    refuse("task file or model changed: digest", hdf5::quoted(found.task_digest), hdf5::quoted(expected.task_digest));
  if (found.options_digest != expected.options_digest)
    refuse("options changed: digest", hdf5::quoted(found.options_digest), hdf5::quoted(expected.options_digest));
  if (found.seed != expected.seed) refuse("seed", found.seed, expected.seed);
}

std::string checkpoint_bytes(const CheckpointHeader& header, const Fields& state) {
  hdf5::Writer file;
  hdf5::GroupWriter root = file.root();
  root.attribute("kind", kind);
  root.attribute("format", format);
  root.attribute("kedge_version", KEDGE_VERSION);
  root.attribute("algorithm", header.identity.algorithm);
  root.attribute("task", header.identity.task);
  root.attribute("task_digest", header.identity.task_digest);
  root.attribute("options_digest", header.identity.options_digest);
  root.attribute("seed", header.identity.seed);
  root.attribute("iteration", static_cast<std::uint64_t>(header.iteration));
  root.attribute("stop", stop_text(header.stop));
  root.attribute("message", header.message);
  root.attribute("record_updates", std::uint64_t{header.record_updates});
  root.dataset("metrics", header.metrics);
  write_state(root.group("state"), state);
  return hdf5::seal(file.image());
}

void save_checkpoint(const FileName& file, const CheckpointHeader& header, const Fields& state, Durability durability) {
  write_file(file, checkpoint_bytes(header, state), durability);
}

Checkpoint load_checkpoint(const FileName& path) {
  const std::string image = hdf5::read_sealed(path, hdf5::Trailer::required);
  const hdf5::Reader file(image, path.string());
  const hdf5::GroupReader root = file.root();
  if (const std::string found = root.text("kind"); found != kind)
    root.fail(fmt::format("attribute kind: found {}, expected \"{}\"", hdf5::quoted(found), kind));
  if (const std::uint64_t found = root.natural("format"); found != format)
    root.fail(fmt::format("was written by kedge {} in format {}, but kedge " KEDGE_VERSION " reads format {}",
                          root.text("kedge_version"), found, format));
  Checkpoint result;
  CheckpointHeader& header = result.header;
  header.identity = {root.text("algorithm"), root.text("task"), root.text("task_digest"), root.text("options_digest"),
                     root.natural("seed")};
  const std::uint64_t iteration = root.natural("iteration");
  if (iteration > max_count) root.fail(fmt::format("attribute iteration: found {}", iteration));
  header.iteration = static_cast<int>(iteration);
  header.stop = read_stop(root);
  header.message = root.text("message");
  header.record_updates = root.natural("record_updates") != 0;
  header.metrics = root.bytes("metrics");
  result.state = read_state(root.group("state"));
  return result;
}

}  // namespace kedge
