// Updates in microseconds and heap allocations, by their dimensions: one policy update of MOTO (the goal is < 20 us for
// da = 2 ... 9 on one core), the backward pass of iLQR (the goal is no allocation).
#include <benchmark/benchmark.h>

#include <atomic>
#include <cstdlib>
#include <vector>

#include "kedge/core/random.h"
#include "kedge/update/gaussian_step.h"
#include "kedge/update/riccati.h"

// Counts heap allocations, Eigen's included, by standing before the C library's malloc.
extern "C" void* __libc_malloc(std::size_t);
static std::atomic<long> allocations{0};
extern "C" void* malloc(std::size_t size) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  return __libc_malloc(size);
}

namespace kedge {
namespace {

struct Problem {
  LinearGaussian pi;
  Gaussian rho;
  WhitenedQuadratic q;
};

MatrixXd random_matrix(Index rows, Index cols, Stream& random) {
  MatrixXd m(rows, cols);
  for (Index j = 0; j < cols; ++j) random.normal(m.col(j));
  return m;
}

/// Q of mixed curvature (every second problem concave), its entries of order 1 in whitened coordinates.
Problem random_problem(Index da, Index ds, std::uint32_t number) {
  Stream random(1, number, static_cast<std::uint32_t>(da), static_cast<std::uint32_t>(ds));
  Problem p;
  const MatrixXd C = MatrixXd::Identity(da, da) + 0.3 * random_matrix(da, da, random);
  const MatrixXd L = MatrixXd::Identity(ds, ds) + 0.3 * random_matrix(ds, ds, random);
  p.pi = make_linear_gaussian(random_matrix(da, ds, random), random_matrix(da, 1, random), C * C.transpose());
  p.rho = *make_gaussian(random_matrix(ds, 1, random), L * L.transpose());
  const MatrixXd S = random_matrix(da, da, random);
  p.q.A = number % 2 == 0 ? MatrixXd(-S * S.transpose()) : MatrixXd(S + S.transpose());
  p.q.B = random_matrix(da, ds, random);
  p.q.g = random_matrix(da, 1, random);
  return p;
}

/// Arguments: da, ds. Takes turns between 64 problems, so that no branch is learned by heart.
void BM_gaussian_step(benchmark::State& state) {
  std::vector<Problem> problems;
  for (std::uint32_t i = 0; i < 64; ++i) problems.push_back(random_problem(state.range(0), state.range(1), i));
  const TrustRegion bounds{0.05, 0.05};
  std::size_t i = 0;
  const long before = allocations;
  for (auto _ : state) {
    const Problem& p = problems[i++ % problems.size()];
    const GaussianStep update = gaussian_step(p.pi, p.q, p.rho, bounds);
    if (update.status != StepStatus::ok) state.SkipWithError(update.message.c_str());
    benchmark::DoNotOptimize(update.kl);
  }
  state.counters["allocations"] =
      benchmark::Counter(static_cast<double>(allocations - before), benchmark::Counter::kAvgIterations);
}
BENCHMARK(BM_gaussian_step)->Args({2, 4})->Args({4, 8})->Args({9, 21})->Unit(benchmark::kMicrosecond);

/// A chain of integrators with random couplings.
struct LqTrajectory {
  std::vector<MatrixXd> A, B;
  std::vector<StageCost> cost;
};
LqTrajectory random_trajectory(int T, Index ndx, Index da) {
  Stream random(2, 0, static_cast<std::uint32_t>(ndx), static_cast<std::uint32_t>(da));
  LqTrajectory p;
  for (int t = 0; t <= T; ++t) {
    StageCost q = StageCost::zero(ndx, da);
    random.normal(q.gx);
    random.normal(q.gu);
    q.Hxx.setIdentity();
    q.Huu.setIdentity();
    p.cost.push_back(q);
    if (t == T) break;
    p.A.push_back(MatrixXd::Identity(ndx, ndx) + 0.02 * random_matrix(ndx, ndx, random));
    p.B.push_back(0.1 * random_matrix(ndx, da, random));
  }
  return p;
}

/// Arguments: ndx, da, bounds on the actions. Reported by step of a trajectory of 300.
void BM_riccati(benchmark::State& state) {
  const int T = 300;
  const Index ndx = state.range(0), da = state.range(1);
  const LqTrajectory p = random_trajectory(T, ndx, da);
  RiccatiOptions options{1e-3, VectorXd::Ones(da), {}, {}, {}, false};
  if (state.range(2)) {
    options.low = MatrixXd::Constant(da, T, -0.5);
    options.high = MatrixXd::Constant(da, T, 0.5);
  }
  Riccati solution;
  (void)riccati({p.A, p.B, p.cost}, options, solution);
  const long before = allocations;
  for (auto _ : state) {
    if (!riccati({p.A, p.B, p.cost}, options, solution)) state.SkipWithError(to_string(solution.status));
    benchmark::DoNotOptimize(solution.linear);
  }
  state.counters["allocations"] =
      benchmark::Counter(static_cast<double>(allocations - before), benchmark::Counter::kAvgIterations);
  state.counters["per_step"] =
      benchmark::Counter(T, benchmark::Counter::kIsIterationInvariantRate | benchmark::Counter::kInvert);
}
BENCHMARK(BM_riccati)
    ->Args({4, 2, 0})
    ->Args({10, 2, 0})
    ->Args({18, 6, 0})
    ->Args({36, 12, 0})
    ->Args({4, 2, 1})
    ->Args({18, 6, 1})
    ->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace kedge

BENCHMARK_MAIN();
