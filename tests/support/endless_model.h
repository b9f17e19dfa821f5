// A model for tests of what takes long: MuJoCo would compile it for minutes.
#pragma once

#include <string>

namespace kedge::test {

/// @param elements  more of them  @param before_3  is this MuJoCo older than 3.0, which has other words for many bodies?
inline std::string endless_model(bool before_3, const std::string& elements = "") {
  return "<mujoco>" + elements + "<worldbody><body><joint name='j'/><geom size='.1'/></body><body name='many'>" +
         (before_3 ? "<composite type='grid' count='300 300 1' spacing='.1'><geom size='.01'/></composite>"
                   : "<flexcomp name='f' type='grid' count='300 300 1' spacing='.1 .1 .1' mass='1'/>") +
         "</body></worldbody><actuator><motor joint='j'/></actuator></mujoco>";
}

}  // namespace kedge::test
