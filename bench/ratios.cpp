// The speed promises as ratios: both sides of a ratio run interleaved in this one process, and the fastest of several
// repetitions counts, because machines are shared and noisy. Prints a table; --json FILE writes the same numbers.
//
//   ratios [--json FILE] [--repetitions N] [--quick]
//
// What one thread does is measured in processor time, what two do in wall time. --quick, for machines that are busy with other
// things and of any kind: only what one thread does, only against something measured beside it, with a fifth of the bar as a
// margin, and what misses is measured again.

#include <cblas.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <mujoco/mujoco.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <functional>
#include <limits>

#include "kedge/algorithms/more.h"
#include "kedge/algorithms/moto.h"
#include "kedge/algorithms/reps.h"
#include "kedge/evaluation/linearisation.h"
#include "kedge/evaluation/quadratic_fit.h"
#include "kedge/math/vectors.h"
#include "kedge/mujoco/mujoco_system.h"
#include "kedge/policy/mlp_gaussian.h"
#include "kedge/rollout/rollout.h"
#include "kedge/rollout/trajectory.h"
#include "kedge/run/option_text.h"
#include "kedge/tasks/task_file.h"

extern "C" void* __libc_malloc(std::size_t);

namespace {
thread_local long allocations = 0;
}

// Counts every allocation of the calling thread: operator new and Eigen both end here.
extern "C" void* malloc(std::size_t size) {
  ++allocations;
  return __libc_malloc(size);
}

using namespace kedge;

namespace {

struct Row {
  std::string name;
  double value;
  std::string unit;
  double at_least;  ///< NaN: for information

  [[nodiscard]] bool missed() const { return !std::isnan(at_least) && !(value >= at_least); }
};

struct Effort {
  int repetitions = 15;
  bool quick = false;  ///< one thread, and nothing that was measured elsewhere
};

enum class Clock { processor, wall };

double now(Clock clock) {
  std::timespec t{};
  clock_gettime(clock == Clock::processor ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

/// Fastest time of each, run in turn.
std::vector<double> fastest(int repetitions, const std::vector<std::function<void()>>& works,
                            Clock clock = Clock::processor) {
  std::vector<double> best(works.size(), std::numeric_limits<double>::infinity());
  for (int r = 0; r < repetitions; ++r)
    for (std::size_t i = 0; i < works.size(); ++i) {
      const double start = now(clock);
      works[i]();
      best[i] = std::min(best[i], now(clock) - start);
    }
  return best;
}

/// The physics of a batch and nothing else: the same start states, controls and sub-steps, mj_step after mj_step.
void bare_steps(const mjModel* model, mjData* data, int substeps, const Task& task, const Batch& batch) {
  for (int n = 0; n < batch.rollouts; ++n) {
    mj_resetData(model, data);
    std::copy_n(batch.state.col(batch.at(n, 0)).data(), model->nq, data->qpos);
    std::copy_n(batch.state.col(batch.at(n, 0)).data() + model->nq, model->nv, data->qvel);
    for (int t = 0; t < batch.horizon; ++t) {
      for (Index i = 0; i < task.da(); ++i)
        data->ctrl[task.control_index[static_cast<std::size_t>(i)]] =
            std::clamp(batch.action(i, batch.step(n, t)), task.action_low[i], task.action_high[i]);
      for (int k = 0; k < substeps; ++k) mj_step(model, data);
    }
  }
}

/// @param at_least speed against bare mj_step
void rollouts(const std::string& name, const Task& task, const Policy& policy, double at_least, const Effort& effort,
              std::vector<Row>& rows) {
  const mjModel* model = &mujoco_of(*task.system)->model();
  const int substeps = static_cast<int>(std::lround(task.control_step / model->opt.timestep));
  mjData* data = mj_makeData(model);
  // Few at a time and often, so that some are not disturbed by whatever else runs.
  const RolloutOptions few{4, 0, true}, many{40, 0, true};
  const Run one, two{0, 2, {}};
  const Batch batch = *rollout(task, policy, few, one);
  const auto time = fastest(20 * effort.repetitions, {[&] { bare_steps(model, data, substeps, task, batch); },
                                                      [&] { (void)rollout(task, policy, few, one); }});
  mj_deleteData(data);
  const double steps = few.rollouts * task.horizon;
  rows.push_back(
      {name + ": rollouts, one thread, control steps/s against bare mj_step", time[0] / time[1], "x", at_least});
  rows.push_back({"  that is", steps / time[1], "control steps/s", std::nan("")});
  if (effort.quick) return;
  const auto by_threads = fastest(
      effort.repetitions,
      {[&] { (void)rollout(task, policy, many, one); }, [&] { (void)rollout(task, policy, many, two); }}, Clock::wall);
  rows.push_back({"  two threads against one", by_threads[0] / by_threads[1], "x", 1.9});

  const auto count = [&](int n) {
    const long before = allocations;
    (void)rollout(task, policy, {n, 0, true}, one);
    return allocations - before;
  };
  count(1);
  Task longer = task;
  longer.horizon = task.horizon - 1;  // same work but one step: what a control step allocates
  for (CostTerm& term : longer.cost) term.active.pop_back();
  for (Success& success : longer.success) success.active.pop_back();
  const long base = count(20);
  const long before = allocations;
  (void)rollout(longer, policy, {20, 0, true}, one);
  const long shorter = allocations - before;
  rows.push_back({"  allocations per control step", static_cast<double>(base - shorter) / 20.0, "", std::nan("")});
}

/// A task with the options that are measured, and what its learning iteration takes in plain NumPy.
struct Case {
  std::string name;
  const Task& task;
  MotoOptions options;
  double numpy_ms, at_least;          ///< times faster than NumPy
  double dsyrk_share = std::nan("");  ///< at least: time of dsyrk for the regressions by that of the learning iteration
  double gram_share = 0.5;            ///< at least: time of dsyrk by that of the regressions
};

using Phases = std::vector<std::pair<std::string, double>>;

/// Seconds of each phase, mean over the iterations of a run. Every repetition does the same work: of each phase of each
/// iteration the fastest counts.
/// @param train runs an algorithm, which reports its iterations
Phases mean_phases(int repetitions, const std::function<void(const std::function<void(const Iteration&)>&)>& train) {
  std::vector<Phases> best;
  for (int r = 0; r < repetitions; ++r)
    train([&](const Iteration& it) {
      const auto i = static_cast<std::size_t>(it.number);
      if (r == 0) return best.push_back(it.seconds);
      for (std::size_t k = 0; k < it.seconds.size(); ++k)
        best[i][k].second = std::min(best[i][k].second, it.seconds[k].second);
    });
  Phases mean = best.front();
  for (std::size_t k = 0; k < mean.size(); ++k) {
    mean[k].second = 0.0;
    for (const Phases& iteration : best) mean[k].second += iteration[k].second / static_cast<double>(best.size());
  }
  return mean;
}

Phases mean_phases(const Task& task, const MotoOptions& options, int threads, int repetitions) {
  return mean_phases(repetitions, [&](const auto& report) {
    (void)moto(task, moto_start(task, options), options, Run{1, threads, {}},
               [&](const Iteration& it, const MotoState&, const UpdateRecord*) { report(it); });
  });
}

double without_rollouts(const Phases& phases) {
  double sum = 0.0;
  for (const auto& [name, time] : phases) sum += name == "rollouts" ? 0.0 : time;
  return sum;
}

/// The learning iteration: everything but rollouts, mean over a run.
void learning(const Case& c, int repetitions, std::vector<Row>& rows) {
  const Phases two = mean_phases(c.task, c.options, 2, repetitions),
               one = mean_phases(c.task, c.options, 1, repetitions);
  const double time = without_rollouts(two);
  rows.push_back({fmt::format("{}: learning iteration, two threads, mean of {}", c.name, c.options.iterations),
                  1e3 * time, "ms", std::nan("")});
  for (const auto& [name, seconds] : two)
    if (name != "rollouts") rows.push_back({fmt::format("  {}", name), 1e3 * seconds, "ms", std::nan("")});
  rows.push_back(
      {fmt::format("  against the {} ms of plain NumPy", c.numpy_ms), c.numpy_ms / (1e3 * time), "x", c.at_least});
  rows.push_back({"  two threads against one", without_rollouts(one) / time, "x", std::nan("")});
}

/// The regressions of all steps of the last iteration against dsyrk of the same sizes, one thread.
/// @return seconds of that dsyrk
double regressions(const Case& c, const Effort& effort, std::vector<Row>& rows) {
  const MotoState state = moto(c.task, moto_start(c.task, c.options), c.options, Run{1, 2, {}}).state;
  SampleReuse reuse(c.options.reuse, c.options.window, c.options.weight_cutoff);
  for (const Epoch& epoch : state.window) reuse.push(epoch, 2);
  std::vector<WeightedSamples> samples;
  Index used = 0;
  for (int t = 0; t < c.task.horizon; ++t) {
    samples.push_back(reuse.samples(t));
    used += samples.back().weight.size();
  }
  const Index p = feature_count(c.task.ds() + c.task.da());
  Regression memory;
  MatrixXd features = MatrixXd::Ones(p, 20000), gram = MatrixXd::Zero(p, p);
  const auto time = fastest(
      effort.repetitions,
      {[&] {
         for (std::size_t t = 0; t < samples.size(); ++t) {
           const RegressionProblem problem{
               c.task,     static_cast<int>(t), reuse.data(),
               samples[t], reuse.density()[t],  t + 1 < samples.size() ? &reuse.density()[t + 1] : nullptr};
           (void)prepare_regression(problem, {c.options.ridge, false}, memory);
         }
       },
       [&] {
         for (const WeightedSamples& s : samples)
           cblas_dsyrk(CblasColMajor, CblasLower, CblasNoTrans, static_cast<int>(p), static_cast<int>(s.weight.size()),
                       1.0, features.data(), static_cast<int>(p), 0.0, gram.data(), static_cast<int>(p));
       }});
  const double flops = static_cast<double>(used) * static_cast<double>(p * (p + 1));
  rows.push_back({fmt::format("{}: regressions ({} features, {} samples a step), useful flops/s against dsyrk", c.name,
                              p, used / c.task.horizon),
                  time[1] / time[0], "x", c.gram_share});
  rows.push_back({"  that is", flops / time[0] / 1e9, "Gflop/s", std::nan("")});
  return time[1];
}

/// All learning of a short run, one thread, against dsyrk of the regressions of its last iteration.
void learning_share(const Case& c, double dsyrk, const Effort& effort, std::vector<Row>& rows) {
  const Run one;
  const MotoState start = moto_start(c.task, c.options);
  const auto time =
      fastest(std::max(1, effort.repetitions / 5),
              {[&] { (void)moto(c.task, start, c.options, one); },
               [&] {
                 for (int i = 0; i < c.options.iterations; ++i)
                   (void)rollout(c.task, start.policy, {c.options.rollouts, static_cast<std::uint32_t>(i), true}, one);
               }});
  const double learning = (time[0] - time[1]) / c.options.iterations;
  rows.push_back({fmt::format("{}: learning iteration, one thread, against dsyrk of its regressions", c.name),
                  dsyrk / learning, "x", c.dsyrk_share});
  rows.push_back(
      {"  an iteration with its rollouts, processor time", 1e3 * time[0] / c.options.iterations, "ms", std::nan("")});
}

/// The simulations that central differences need and nothing else: reset to x_t, the sub-steps of one control step.
void bare_differences(const mjModel* model, mjData* data, int substeps, const Trajectory& path, int simulations) {
  for (Index t = 0; t < path.a.cols(); ++t)
    for (int i = 0; i < simulations; ++i) {
      std::copy_n(path.x.col(t).data(), model->nq, data->qpos);
      std::copy_n(path.x.col(t).data() + model->nq, model->nv, data->qvel);
      std::fill_n(data->qacc_warmstart, model->nv, 0.0);
      for (int k = 0; k < substeps; ++k) mj_step(model, data);
    }
}

/// The derivative pass along the trajectory without actions; the walker falls there, with contacts.
void derivatives(const Task& task, const Effort& effort, std::vector<Row>& rows) {
  const auto& system = dynamic_cast<const MujocoSystem&>(*task.system);
  const mjModel* model = &system.model();
  mjData* data = mj_makeData(model);
  const Trajectory path =
      simulate(task, *task.system->clone(), task.start.mean, [](int, VectorIn, VectorOut a) { a.setZero(); });
  const int simulations = static_cast<int>(2 * (system.ndx() + task.da()));
  SystemClones one(*task.system, 1), two(*task.system, 2);
  const auto time =
      fastest(effort.repetitions, {[&] { bare_differences(model, data, system.substeps(), path, simulations); },
                                   [&] { (void)linearise(task, path.x, path.a, {}, one); }});
  mj_deleteData(data);
  const std::string name = fmt::format("derivative pass of the {}", task.name);
  rows.push_back({name + ", one thread: bare mj_step over it", time[0] / time[1], "x", 1.2});
  if (!effort.quick) {
    const auto by_threads = fastest(effort.repetitions,
                                    {[&] { (void)linearise(task, path.x, path.a, {}, one); },
                                     [&] { (void)linearise(task, path.x, path.a, {}, two); }},
                                    Clock::wall);
    rows.push_back({name + ": two threads against one", by_threads[0] / by_threads[1], "x", 1.9});
  }
  rows.push_back({fmt::format("  {} steps, {} simulations each, one thread", task.horizon, simulations), 1e3 * time[1],
                  "ms", std::nan("")});
}

/// The walker's network policy: one evaluation, and its batched gradient against the matrix products it consists of.
void network(const Effort& effort, std::vector<Row>& rows) {
  const Index ds = 17, h = 10, da = 6, N = 6000;  // VGPS: 300 steps, 20 states each
  Stream random(1, 0, 0, 0);
  const NetworkShape shape{
      {h}, Activation::softplus, false, VectorXd::Zero(ds), VectorXd::Ones(ds), VectorXd::Ones(da)};
  const MlpGaussian pi(shape, random_theta(shape, VectorXd::Zero(da), random));
  MatrixXd s(ds, N), g(da, N);
  for (Index n = 0; n < N; ++n) {
    random.normal(s.col(n));
    random.normal(g.col(n));
  }
  const NetworkInputs inputs = pi.prepare(s);
  VectorXd a(da), gradient(pi.theta().size());
  const MatrixXd W1 = MatrixXd::Random(h, ds), W2 = MatrixXd::Random(da, h);
  MatrixXd z = MatrixXd::Random(h, N), d(h, N), mu(da, N), g1(h, ds), g2(da, h);
  const auto dgemm = [](CBLAS_TRANSPOSE ta, CBLAS_TRANSPOSE tb, const MatrixXd& A, const MatrixXd& B, MatrixXd& C) {
    cblas_dgemm(CblasColMajor, ta, tb, static_cast<int>(C.rows()), static_cast<int>(C.cols()),
                static_cast<int>(ta == CblasNoTrans ? A.cols() : A.rows()), 1.0, A.data(), static_cast<int>(A.rows()),
                B.data(), static_cast<int>(B.rows()), 0.0, C.data(), static_cast<int>(C.rows()));
  };
  MatrixXd P = MatrixXd::Random(128, 128), Q = P, R(128, 128);
  const auto time = fastest(effort.repetitions,
                            {[&] {
                               for (Index n = 0; n < N; ++n) pi.mean(0, s.col(n), a);
                             },
                             [&] {
                               gradient = pi.gradient(inputs, [&](Index first, const Eigen::Ref<const MatrixXd>& m,
                                                                  Eigen::Ref<MatrixXd> out) {
                                 out = m - g.middleCols(first, m.rows()).transpose();
                               });
                             },
                             [&] {
                               dgemm(CblasNoTrans, CblasNoTrans, W1, s, z);
                               dgemm(CblasNoTrans, CblasNoTrans, W2, z, mu);
                               dgemm(CblasNoTrans, CblasTrans, g, z, g2);
                               dgemm(CblasTrans, CblasNoTrans, W2, g, d);
                               dgemm(CblasNoTrans, CblasTrans, d, s, g1);
                             },
                             [&] { dgemm(CblasNoTrans, CblasNoTrans, P, Q, R); }, [&] { (void)pi.means(inputs); }});
  const double flops = 2.0 * static_cast<double>(N * (2 * h * ds + 3 * da * h));
  rows.push_back({"network policy, 17-10-6: evaluations", 1e-6 * static_cast<double>(N) / time[0], "evaluations/us",
                  effort.quick ? std::nan("") : 1.0});
  rows.push_back(
      {"network policy, gradient of 6000 states against dgemm of its products", time[2] / time[1], "x", 0.75});
  rows.push_back(
      {"  gradient, activation functions left out of the count", flops / time[1] / 1e9, "Gflop/s", std::nan("")});
  rows.push_back(
      {"  share of a large dgemm's speed", flops / time[1] / (2.0 * 128 * 128 * 128 / time[3]), "x", std::nan("")});
  rows.push_back({"  means alone: share of the gradient's time", time[4] / time[1], "x", std::nan("")});
}

/// Table tennis: a rollout, and an iteration of each of the three methods of its figures.
void table_tennis(const Effort& effort, std::vector<Row>& rows) {
  const std::string folder = KEDGE_SOURCE_DIR "/tasks/table_tennis_noisy/";
  const Task task = load_task(folder + "task.toml").task;
  const auto tuned = [&]<class O>(O defaults, const char* name, int iterations) {
    Options options = named_options(defaults);
    read_options(options, folder + name + ".toml");
    O read = options_as<O>(options);
    read.iterations = iterations;
    return read;
  };
  const int iterations = effort.quick ? 10 : 20;
  const Case learned{"table tennis, M = 25, window 8", task, tuned(MotoOptions{}, "moto", iterations), 0, 0, 0.3, 0.35};
  const auto reps_options = tuned(RepsOptions{}, "reps", iterations);
  const auto more_options = tuned(MoreOptions{}, "more", iterations);
  rollouts("table tennis", task, moto_start(task, learned.options).policy, 1.0 / 1.3, effort, rows);
  learning_share(learned, regressions(learned, effort, rows), effort, rows);

  const auto row = [&](const std::string& name, const Phases& phases, double at_least) {
    const double update = without_rollouts(phases), rollouts = phases.front().second;
    rows.push_back({"table tennis, " + name + ": rollouts of an iteration against all else, one thread",
                    rollouts / update, "x", at_least});
    rows.push_back({"  rollouts, mean of an iteration", 1e3 * rollouts, "ms", std::nan("")});
    rows.push_back({"  all else", 1e3 * update, "ms", std::nan("")});
  };
  const int repetitions = effort.quick ? 3 : 5;
  const Run one;
  row("REPS",
      mean_phases(repetitions,
                  [&](const auto& report) {
                    (void)reps(task, reps_start(task, reps_options), reps_options, one,
                               [&](const Iteration& it, const auto&...) { report(it); });
                  }),
      8);
  row("MORE",
      mean_phases(repetitions,
                  [&](const auto& report) {
                    (void)more(task, more_start(task, more_options), more_options, one,
                               [&](const Iteration& it, const auto&...) { report(it); });
                  }),
      8);
}

std::vector<Row> measure(const Effort& effort) {
  const std::string tasks = KEDGE_SOURCE_DIR "/tasks/";
  const Task double_link = load_task(tasks + "double_link/task.toml").task;
  const Task quad_link = load_task(tasks + "quad_link/task.toml").task;
  const auto tuned = [&](const std::string& name) {
    Options options = named_options(MotoOptions{});
    read_options(options, tasks + name + "/moto.toml");
    return options_as<MotoOptions>(options);
  };
  Case reusing{"double link", double_link, tuned("double_link"), 240, 30};
  Case quad{"quad link, M = 400", quad_link, tuned("quad_link"), 130, 10};
  Case quad_reusing{"quad link, M = 100, reuse", quad_link, tuned("quad_link"), 1100, 10};
  quad_reusing.options.rollouts = 100;
  quad_reusing.options.reuse = Reuse::time_and_iterations;
  quad_reusing.options.window = 3;
  quad.options.iterations = 5;
  quad_reusing.options.iterations = 10;
  Case quad_more = quad_reusing;  // what the default leaves out of these: docs/algorithms/moto.md
  quad_more.name = "quad link, M = 100, reuse, weight_cutoff 1e-4";
  quad_more.options.weight_cutoff = 1e-4;
  quad_more.at_least = std::nan("");

  std::vector<Row> rows;
  rollouts("double link", double_link, moto_start(double_link, reusing.options).policy, 0.95, effort, rows);
  rollouts("quad link", quad_link, moto_start(quad_link, quad.options).policy, 0.95, effort, rows);
  if (effort.quick) {
    reusing.options.iterations = quad_reusing.options.iterations = 6;
    reusing.dsyrk_share = quad_reusing.dsyrk_share = 0.4;
    for (const Case* c : {&reusing, &quad_reusing}) learning_share(*c, regressions(*c, effort, rows), effort, rows);
  } else {
    for (const Case* c : {&reusing, &quad, &quad_reusing, &quad_more}) {
      learning(*c, 3, rows);
      regressions(*c, effort, rows);
    }
  }
  table_tennis(effort, rows);
  network(effort, rows);
  derivatives(double_link, effort, rows);
  derivatives(load_task(KEDGE_SOURCE_DIR "/tasks/walker/task.toml").task, effort, rows);
  return rows;
}

/// Measures what missed again, a few times: a machine that was busy is not slow code.
std::vector<Row> measure_patiently(const Effort& effort) {
  constexpr double kMargin = 0.8;
  std::vector<Row> best;
  for (int attempt = 0; attempt < 3; ++attempt) {
    std::vector<Row> rows = measure(effort);
    for (std::size_t i = 0; i < rows.size(); ++i) {
      rows[i].at_least *= kMargin;
      if (!best.empty() && !std::isnan(rows[i].at_least)) rows[i].value = std::max(rows[i].value, best[i].value);
    }
    best = std::move(rows);
    if (std::none_of(best.begin(), best.end(), [](const Row& row) { return row.missed(); })) break;
  }
  return best;
}

}  // namespace

int main(int argc, char** argv) {
  Effort effort;
  std::string json;
  for (int i = 1; i < argc; ++i) {
    const std::string option = argv[i];
    if (option == "--quick") {
      effort = {5, true};
    } else if (option == "--json" && i + 1 < argc) {
      json = argv[++i];
    } else if (option == "--repetitions" && i + 1 < argc && std::atoi(argv[i + 1]) >= 1) {
      effort.repetitions = std::atoi(argv[++i]);
    } else {
      fmt::print(stderr, "usage: {} [--quick] [--repetitions N] [--json FILE]; N >= 1, default {}\n", argv[0],
                 effort.repetitions);
      return option == "--help" || option == "-h" ? 0 : 2;
    }
  }
  openblas_set_num_threads(1);
  if (const char* kind = std::getenv("KEDGE_VECTORS")) use_vectors(kind);
  fmt::print("vectors: {} of {}\n", vectors_in_use(), fmt::join(vector_kinds(), ", "));
  const std::vector<Row> rows = effort.quick ? measure_patiently(effort) : measure(effort);

  bool kept = true;
  for (const Row& row : rows) {
    kept = kept && !row.missed();
    fmt::print("{:<78} {:>12.4g} {:<16}{}\n", row.name, row.value, row.unit,
               std::isnan(row.at_least)
                   ? ""
                   : fmt::format("at least {:.3g} {}", row.at_least, row.missed() ? "  MISSED" : ""));
  }
  if (!json.empty()) {
    std::ofstream out(json);
    out << "[\n";
    for (std::size_t i = 0; i < rows.size(); ++i)
      out << fmt::format("  {{\"name\": \"{}\", \"value\": {}, \"unit\": \"{}\", \"at_least\": {}}}{}\n", rows[i].name,
                         rows[i].value, rows[i].unit,
                         std::isnan(rows[i].at_least) ? "null" : fmt::format("{}", rows[i].at_least),
                         i + 1 < rows.size() ? "," : "");
    out << "]\n";
  }
  return kept ? 0 : 1;
}
