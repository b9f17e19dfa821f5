// How much memory there is: work that would need more is refused before it begins.
#pragma once

#include <string>

namespace kedge {

/// Returns the bytes that this process may still take, as far as the system says: what is available on the machine, within the
/// limits of the process (RLIMIT_AS) and of its control group; infinity if it says nothing.
double available_memory();

/// Returns "350 MB", "1.2 GB".
std::string memory_text(double bytes);

}  // namespace kedge
