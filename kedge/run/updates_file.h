// updates.h5: inputs and outputs of every policy update, for study and for the page that explains them.
//
//   group iteration_%04d:  old/{K,k,Sigma}, new/{K,k,Sigma} as in policy.h5;
//                          state_mean [T,ds], state_cov [T,ds,ds]: the state distribution of the update;
//                          Qaa [T,da,da], Qas [T,da,ds], qa [T,da]: Q of the return, which is maximised;
//                          eta, omega, kl, entropy, beta [T]; attribute epsilon
//
// Appending is a pure function of the bytes before and the record, so that a run that was interrupted ends with the
// same bytes as one that was not. The whole file is written each time, so n iterations write n^2 / 2 groups: it is for
// study, not for runs of many thousands of iterations.
#pragma once

#include <string>

#include "kedge/algorithms/update_record.h"
#include "kedge/files/atomic_file.h"

namespace kedge {

class UpdatesFile {
 public:
  /// Makes a file without groups in memory; nothing is written yet.
  explicit UpdatesFile(FileName file);
  /// Reads the file and drops the groups of iterations >= `iterations`. The file is built anew from the values read:
  /// this process does not parse bytes that may have been altered (hdf5.h), and equal groups give equal bytes.
  /// @throws InputError if it is damaged or a group before that is missing
  UpdatesFile(FileName file, int iterations);

  /// Adds the group of the next iteration and writes the file. @throws SystemError, then nothing was added
  void append(const UpdateRecord& record, Durability durability);
  /// Removes the group that the last `append` added; the file on the disk follows with the next `append` or `save`.
  void take_back();

  [[nodiscard]] int iterations() const { return iterations_; }
  /// Writes the file as it is in memory. @throws SystemError
  void save(Durability durability) const;

 private:
  FileName file_;
  std::string image_, previous_;  ///< without trailer: now, and before the last `append`
  int iterations_ = 0;
};

}  // namespace kedge
