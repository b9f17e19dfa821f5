// TensorBoard's event files: records of protobuf messages `Event`, each framed by its length and by masked CRC-32C
// checksums of length and message (tensorflow/core/util/event.proto, tensorflow/core/lib/io/record_writer.cc).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "kedge/core/run.h"

namespace kedge {

/// Returns one record: uint64 length, uint32 masked CRC of the length, message, uint32 masked CRC of the message.
std::string tf_record(std::string_view message);

/// Returns the first record of every event file. @param wall_time seconds since 1970
std::string event_file_start(double wall_time);

/// Returns the scalars of one iteration as one record, in single precision as TensorBoard keeps them.
/// @param wall_time seconds since 1970
std::string scalar_event(std::int64_t step, double wall_time, std::span<const Metric> scalars);

/// Returns the length of the part to keep when a run continues after `steps` iterations: the whole records up to
/// the first that is damaged or of a later step. 0 if there is no first record.
std::size_t event_prefix(std::string_view bytes, std::int64_t steps);

}  // namespace kedge
