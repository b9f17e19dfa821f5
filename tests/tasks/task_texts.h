// One task file and one model that use every key and every kind of quantity, shared by the tests of task files.
#pragma once

#include <gtest/gtest.h>

#include <string>

namespace kedge {

inline const std::string kModel = R"(<mujoco model="arm">
  <option timestep="0.01" integrator="RK4"/>
  <size njmax="50" nconmax="10"/>
  <worldbody>
    <body name="cart"><joint name="rail" type="slide" axis="1 0 0"/><geom size="0.1" contype="0" conaffinity="0"/>
      <body name="pole"><joint name="hinge" axis="0 1 0"/>
        <geom type="capsule" fromto="0 0 0 0 0 1" size="0.03" contype="0" conaffinity="0"/><site name="tip" pos="0 0 1"/></body>
    </body>
  </worldbody>
  <actuator>
    <motor name="push" joint="rail" gear="2"/>
    <general name="twist" joint="hinge" dyntype="filter" dynprm="0.1" ctrllimited="true" ctrlrange="-3 2"/>
  </actuator>
  <sensor>
    <framepos name="tip" objtype="site" objname="tip"/>
    <jointvel name="spin" joint="hinge"/>
    <actuatorfrc name="force" actuator="push"/>
  </sensor>
</mujoco>
)";

inline const std::string kTask = R"(kedge = 1
name = "arm"
summary = "every key once"
model = "arm.xml"
horizon = 10
control_step = 0.05
substeps = 2

[actions]
actuators = ["twist", "push"]
limit = [[-1.0, 2.0], 5]

[observation]
parts = ["qvel", "qpos:hinge", "act"]

[start]
distribution = "uniform"
qpos = [0.5, 3.0]
qvel = 0.25
act = { twist = 0.125 }
qpos_spread = { hinge = 0.1 }
qvel_spread = 0.2
act_spread = [0.0]

[[cost]]
name = "effort"
of = "action"
weight = [1.0, 2.0]

[[cost]]
name = "height"
of = "sensor:tip"
matrix = [[0, 0, 1]]
target = 1.0
weight = 3.0
norm = "smooth"
width = 0.5
steps = ["last 3", "final"]

[[cost]]
name = "still"
of = ["qvel", "qpos:rail"]
target = [0, 0, 1]
norm = "absolute"
steps = ["0..1", 4]

[success]
text = "tip up"
of = "sensor:tip"
matrix = [[0, 0, 1]]
target = [1]
statistic = "max_abs"
below = 0.2
steps = "final"
)";

/// `text` with the first `from` replaced by `to`.
inline std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const std::size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return at == std::string::npos ? text : text.replace(at, from.size(), to);
}

}  // namespace kedge
