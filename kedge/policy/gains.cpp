#include "kedge/policy/gains.h"

namespace kedge {

void add_gains(const MatrixXd& K, VectorIn s, VectorOut a) {
  for (Index i = 0; i < a.size(); ++i) {  // a general product costs more than it computes here
    double sum = a[i];
    for (Index j = 0; j < s.size(); ++j) sum += K(i, j) * s[j];
    a[i] = sum;
  }
}

}  // namespace kedge
