// The controllers whose parameters are searched: kinds, parameters and their units.
#pragma once

#include <functional>
#include <optional>

#include "kedge/policy/contextual.h"
#include "kedge/policy/kinds.h"
#include "kedge/system/task.h"

namespace kedge {

enum class ControllerKind {
  linear,       ///< gains and offset of one linear controller for all steps
  network,      ///< all weights of a network
  dmp,          ///< goals and goal velocities of a movement primitive
  dmp_weights,  ///< these and its weights
};

/// Half the range of each action; 1 where it is infinite. @return [da]
VectorXd half_range(const Task& task);

/// Returns a = K s + k at every step. Its noise is a thousandth of the range: a policy is a density.
TvLinearGaussian linear_controller(const Task& task, const MatrixXd& K, VectorIn k);

/// Controllers by P parameters z, 0 and 1 of which mean something: theta = origin + basis z are those of `with_parameters`.
struct ControllerFamily {
  Controller prototype;
  VectorXd origin;  ///< [P]
  MatrixXd basis;   ///< [P, P]

  [[nodiscard]] Index size() const { return origin.size(); }
  /// @param z [P]  @param model as of `with_parameters`
  [[nodiscard]] Controller at(VectorIn z, const std::function<InverseDynamics()>& model) const {
    return with_parameters(prototype, origin + basis * z, model);
  }
};

/// Returns P, the number of its parameters. @param hidden, weights as below
Index family_size(const Task& task, ControllerKind kind, int hidden, int weights);

/// Returns the family of a task. Its parameters are zero, and in units of
///   linear       (action in the middle of its limits)  half the range of the action, per unit of the observation; s counts
///                from the middle of the start, in units of its spread along the demonstration, if there is one
///   network      (the same)  weights of the network, whose inputs and outputs are in the units of `linear`
///   dmp          (the demonstration, or rest at the middle of the start)  the largest excursion of the coordinate and its
///                largest speed, at least a tenth of the largest of any; 1 if nothing moves. A weight of 1 pulls as
///                a goal that is moved by one excursion.
/// @param hidden units of the network  @param weights B of the movement
/// @throws InputError if the task lacks what the controller needs: a system with inverse dynamics, actions that drive one
/// coordinate each, and these with their velocities in the observation
ControllerFamily controller_family(const Task& task, ControllerKind kind, int hidden, int weights);

/// Returns the features of the initial state by which a task's controllers may be chosen.
/// @throws InputError if there are none
Context context_of(const Task& task, bool squares);

}  // namespace kedge
