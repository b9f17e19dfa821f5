// The vector kernels: small loops over doubles that are compiled for several kinds of vectors (Google Highway); the widest
// that the processor has is chosen when the program runs. A kernel gives the same bits for every kind that has fused
// multiply-adds, however wide: numbers stay in kLanes virtual lanes, whatever the registers hold, sums over lanes run in
// one order, and what is fused is written, not left to the compiler (-ffp-contract=off, cmake/Kedge.cmake).
#pragma once

#include <string>
#include <vector>

#include "kedge/core/types.h"

namespace kedge {

/// Doubles of a virtual register: one of 512 bits, two of 256 or four of 128.
inline constexpr Index kLanes = 8;

/// Returns n rounded up to whole virtual registers.
constexpr Index padded(Index n) { return (n + kLanes - 1) / kLanes * kLanes; }

/// Returns the sum of the entries of a virtual register, in a fixed order.
inline double sum_lanes(const double* s) { return ((s[0] + s[1]) + (s[2] + s[3])) + ((s[4] + s[5]) + (s[6] + s[7])); }

/// Returns the kinds of vectors that this build has code for and this processor can run, best first: "avx512", "avx2",
/// "portable". Results under the first two are equal bit for bit; those of "portable", which fuses nothing on x86, are not.
std::vector<std::string> vector_kinds();

/// Returns the kind in use: the best one, or what use_vectors chose.
std::string vectors_in_use();

/// Makes the kernels use one kind of vectors, for tests and measurements. Not while a kernel runs.
/// @throws InputError unless `kind` is one of vector_kinds()
void use_vectors(const std::string& kind);

}  // namespace kedge
