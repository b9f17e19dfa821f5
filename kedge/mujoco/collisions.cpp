#include "kedge/mujoco/collisions.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "kedge/core/types.h"

namespace kedge {

namespace {

/// Pairs of geoms of two bodies up to which their distances were never slower, near or far.
constexpr int kMostPairs = 16;

/// The bit of the flag, or 0 in a MuJoCo that has none.
template <int N>
int middle_phase_bit(const char* const (&names)[N]) {
  const auto* const found = std::ranges::find(names, std::string_view("Midphase"));
  return found == std::end(names) ? 0 : 1 << (found - std::begin(names));
}

template <class Model>
bool has_flexes(const Model& m) {
  if constexpr (requires { m.nflex; })
    return m.nflex > 0;
  else
    return false;
}

bool can_touch(const mjModel& m, int a, int b) {
  return (m.geom_contype[a] & m.geom_conaffinity[b]) != 0 || (m.geom_contype[b] & m.geom_conaffinity[a]) != 0;
}

/// Is their distance a formula? They are in order of their types.
bool has_quick_distance(const mjModel& m, int a, int b) {
  const auto type = [&](int geom) { return m.geom_type[geom]; };
  const auto is_round = [&](int geom) { return type(geom) == mjGEOM_SPHERE || type(geom) == mjGEOM_CAPSULE; };
  if (type(a) == mjGEOM_PLANE) return type(b) >= mjGEOM_SPHERE && type(b) <= mjGEOM_BOX;
  return is_round(a) && is_round(b);
}

/// Are the contacts of two bodies the same without the middle phase, and found no later? It sorts them by their geoms, of
/// which that of the lower type comes first; without it they come geom by geom.
bool can_do_without(const mjModel& m, int first, int second) {
  const int pairs = m.body_geomnum[first] * m.body_geomnum[second];
  if (pairs <= 1) return true;  // it has nothing to do with them
  if (pairs > kMostPairs) return false;
  std::pair<int, int> last(-1, -1);
  for (int i = 0; i < m.body_geomnum[first]; ++i)
    for (int j = 0; j < m.body_geomnum[second]; ++j) {
      std::pair<int, int> geoms(m.body_geomadr[first] + i, m.body_geomadr[second] + j);
      if (!can_touch(m, geoms.first, geoms.second)) continue;
      if (m.geom_type[geoms.first] > m.geom_type[geoms.second]) std::swap(geoms.first, geoms.second);
      if (geoms < last || !has_quick_distance(m, geoms.first, geoms.second)) return false;
      last = geoms;
    }
  return true;
}

}  // namespace

void skip_middle_phase(mjModel& m) {
  if (mjVERSION_HEADER < 300 || has_flexes(m)) return;
  if (std::any_of(m.geom_gap, m.geom_gap + m.ngeom, [](double gap) { return gap != 0.0; })) return;
  for (int second = 1; second < static_cast<int>(m.nbody); ++second)
    for (int first = 0; first < second; ++first)
      if (!can_do_without(m, first, second)) return;
  m.opt.disableflags |= middle_phase_bit(mjDISABLESTRING);
}

}  // namespace kedge
