#include "kedge/mujoco/labels.h"

#include <gmock/gmock.h>

#include "kedge/mujoco/load_model.h"
#include "tests/support/temporary_folder.h"

namespace kedge {
namespace {

using testing::ElementsAre;

constexpr const char* kModel = R"(
<mujoco>
  <worldbody>
    <body name="b"><freejoint name="root"/><geom size="0.1"/><site name="s"/>
      <body><joint name="knee" type="hinge"/><geom size="0.1"/>
        <body><joint name="rail" type="slide"/><geom size="0.1"/></body></body></body>
  </worldbody>
  <actuator>
    <motor name="turn" joint="knee"/><motor name="push" joint="rail"/><motor name="geared" joint="knee" gear="5"/>
    <position name="aim" joint="knee" kp="3"/><velocity name="pace" joint="rail" kv="2"/>
    <general name="muscle" joint="knee" dyntype="integrator"/>
  </actuator>
  <sensor><framepos name="where" objtype="site" objname="s"/><jointvel name="rate" joint="knee"/><touch name="foot" site="s"/></sensor>
</mujoco>)";

TEST(Labels, NameEveryEntryWithItsUnit) {
  const TemporaryFolder folder;
  const LoadedModel loaded = load_mujoco_model(folder.write("m.xml", kModel));
  ASSERT_EQ(loaded.error, "");
  const MujocoSystem system(loaded.model, 1);
  EXPECT_THAT(
      state_labels(system),
      ElementsAre(Label{"root x", "m"}, Label{"root y", "m"}, Label{"root z", "m"}, Label{"root qw", ""},
                  Label{"root qx", ""}, Label{"root qy", ""}, Label{"root qz", ""}, Label{"knee", "rad"},
                  Label{"rail", "m"}, Label{"root velocity x", "m/s"}, Label{"root velocity y", "m/s"},
                  Label{"root velocity z", "m/s"}, Label{"root turning x", "rad/s"}, Label{"root turning y", "rad/s"},
                  Label{"root turning z", "rad/s"}, Label{"knee velocity", "rad/s"}, Label{"rail velocity", "m/s"},
                  Label{"muscle activation", ""}));
  EXPECT_THAT(control_labels(system), ElementsAre(Label{"turn", "N m"}, Label{"push", "N"}, Label{"geared", ""},
                                                  Label{"aim", "rad"}, Label{"pace", "m/s"}, Label{"muscle", ""}));
  EXPECT_THAT(sensor_labels(system), ElementsAre(Label{"where[0]", "m"}, Label{"where[1]", "m"}, Label{"where[2]", "m"},
                                                 Label{"rate", "rad/s"}, Label{"foot", "N"}));
}

}  // namespace
}  // namespace kedge
