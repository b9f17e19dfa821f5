#include "kedge/run/updates_file.h"

#include <array>
#include <utility>
#include <vector>

#include "kedge/core/errors.h"
#include "kedge/files/hdf5.h"
#include "kedge/files/tensor.h"

namespace kedge {

namespace {

struct Dataset {
  std::string name;  ///< "old/K"
  hdf5::Shape shape;
  std::vector<double> values;
};

/// One group of the file.
struct Group {
  std::vector<Dataset> datasets;
  double epsilon = 0.0;
};

std::string group_name(int iteration) { return fmt::format("iteration_{:04d}", iteration); }

void add_policy(Group& group, const std::string& prefix, const TvLinearGaussian& policy) {
  const Index T = policy.horizon(), ds = policy.observation_dim(), da = policy.action_dim();
  group.datasets.push_back(
      {prefix + "K", {T, da, ds}, stack(T, da, ds, [&](int t) -> const MatrixXd& { return policy[t].K; })});
  group.datasets.push_back(
      {prefix + "k", {T, da}, stack(T, da, 1, [&](int t) -> const VectorXd& { return policy[t].k; })});
  group.datasets.push_back(
      {prefix + "Sigma", {T, da, da}, stack(T, da, da, [&](int t) -> const MatrixXd& { return policy[t].Sigma; })});
}

Group to_group(const UpdateRecord& record) {
  const Index T = record.old_policy.horizon(), ds = record.old_policy.observation_dim(),
              da = record.old_policy.action_dim();
  const auto rho = [&](int t) -> const Gaussian& { return record.rho[static_cast<std::size_t>(t)]; };
  const auto q = [&](int t) -> const ActionQuadratic& { return record.q[static_cast<std::size_t>(t)]; };
  const auto update = [&](double GaussianStep::*field) {
    std::vector<double> values;
    for (const GaussianStep& each : record.updates) values.push_back(each.*field);
    return values;
  };
  Group group;
  add_policy(group, "old/", record.old_policy);
  add_policy(group, "new/", record.new_policy);
  auto& sets = group.datasets;
  sets.push_back({"state_mean", {T, ds}, stack(T, ds, 1, [&](int t) -> const VectorXd& { return rho(t).mean; })});
  sets.push_back({"state_cov", {T, ds, ds}, stack(T, ds, ds, [&](int t) -> const MatrixXd& { return rho(t).cov; })});
  sets.push_back({"Qaa", {T, da, da}, stack(T, da, da, [&](int t) -> const MatrixXd& { return q(t).Qaa; })});
  sets.push_back({"Qas", {T, da, ds}, stack(T, da, ds, [&](int t) -> const MatrixXd& { return q(t).Qas; })});
  sets.push_back({"qa", {T, da}, stack(T, da, 1, [&](int t) -> const VectorXd& { return q(t).qa; })});
  sets.push_back({"eta", {T}, update(&GaussianStep::eta)});
  sets.push_back({"omega", {T}, update(&GaussianStep::omega)});
  sets.push_back({"kl", {T}, update(&GaussianStep::kl)});
  sets.push_back({"entropy", {T}, update(&GaussianStep::entropy)});
  sets.push_back({"beta", {T}, update(&GaussianStep::beta)});
  group.epsilon = record.epsilon;
  return group;
}

constexpr std::array members = {"old/K", "old/k", "old/Sigma", "new/K", "new/k", "new/Sigma", "state_mean", "state_cov",
                                "Qaa",   "Qas",   "qa",        "eta",   "omega", "kl",        "entropy",    "beta"};

Group read_group(const hdf5::GroupReader& file) {
  Group group;
  for (const char* name : members) {
    const hdf5::Shape shape = file.shape(name);
    group.datasets.push_back({name, shape, file.any_doubles(name, shape)});
  }
  group.epsilon = file.real("epsilon");
  return group;
}

/// The file with one more group.
std::string appended(const std::string& image, int iteration, const Group& content) {
  hdf5::Writer file(image);
  {
    hdf5::GroupWriter group = file.root().group(group_name(iteration));
    hdf5::GroupWriter old_policy = group.group("old"), new_policy = group.group("new");
    for (const Dataset& set : content.datasets) group.dataset(set.name, set.values, set.shape);
    group.attribute("epsilon", content.epsilon);
  }
  return file.image();
}

std::string empty_file() {
  hdf5::Writer file;
  file.root().attribute("kind", "updates");
  file.root().attribute("kedge_version", KEDGE_VERSION);
  return file.image();
}

}  // namespace

UpdatesFile::UpdatesFile(FileName file) : file_(std::move(file)), image_(empty_file()) {}

UpdatesFile::UpdatesFile(FileName name, int iterations) : file_(std::move(name)), iterations_(iterations) {
  const std::string found = hdf5::read_sealed(file_, hdf5::Trailer::required);
  const hdf5::Reader file(found, file_.string());
  const hdf5::GroupReader root = file.root();
  if (const std::string kind = root.text("kind"); kind != "updates")
    root.fail(fmt::format("attribute kind: found {}, expected \"updates\"", hdf5::quoted(kind)));
  for (int i = 0; i < iterations; ++i)
    if (!root.has(group_name(i))) root.fail(fmt::format("group {}: missing", group_name(i)));
  image_ = empty_file();
  for (int i = 0; i < iterations; ++i) image_ = appended(image_, i, read_group(root.group(group_name(i))));
}

void UpdatesFile::append(const UpdateRecord& record, Durability durability) {
  std::string next = appended(image_, iterations_, to_group(record));
  write_file(file_, hdf5::seal(next), durability);
  previous_ = std::exchange(image_, std::move(next));
  ++iterations_;
}

void UpdatesFile::take_back() {
  image_ = std::move(previous_);
  --iterations_;
}

void UpdatesFile::save(Durability durability) const { write_file(file_, hdf5::seal(image_), durability); }

}  // namespace kedge
