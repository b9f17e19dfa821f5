// Every way to get a task file wrong: one line, with the place, what was found and what is allowed.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "kedge/core/errors.h"
#include "kedge/tasks/task_file.h"
#include "task_texts.h"
#include "tests/support/temporary_folder.h"

namespace kedge {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

struct Wrong {
  const char* name;
  const char* from;      ///< piece of kTask
  const char* to;        ///< what stands there instead
  const char* place;     ///< ":line:column: " of the complaint
  const char* expected;  ///< what it says
};

const Wrong kWrong[] = {
    // TOML itself
    {"NotToml", "horizon = 10", "horizon = ", ":5:", "not TOML"},
    {"KeyTwice", "horizon = 10", "horizon = 10\nhorizon = 11", ":6:", "not TOML"},
    {"UnclosedText", "\"arm.xml\"", "\"arm.xml", ":4:", "not TOML"},
    {"NotUtf8", "every key", "every \xff key", ":3:", "not TOML"},
    // joint limits
    {"JointLimitTable", "[observation]", "[joint_limit]\n[observation]", ":13:1: ", "must be written [[joint_limit]]"},
    {"JointLimitKey", "[observation]", "[[joint_limit]]\nstifness = 1\n[observation]",
     ":14:1: ", "stifness: this key is unknown; did you mean \"stiffness\"?"},
    {"JointLimitWithoutRange", "[observation]",
     "[[joint_limit]]\nname = \"a\"\nactuators = \"push\"\nstiffness = 1\n[observation]",
     ":13:", "joint_limit.a.range: this key is missing"},
    {"JointLimitOfNothing", "[observation]",
     "[[joint_limit]]\nname = \"a\"\nactuators = \"pull\"\nrange = 1\nstiffness = 1\n[observation]",
     ":15:13: ", "the model has no actuator among the actions \"pull\"; did you mean \"push\"?"},
    {"JointLimitRange", "[observation]",
     "[[joint_limit]]\nname = \"a\"\nactuators = \"push\"\nrange = [1, -1]\nstiffness = 1\n[observation]",
     ":16:9: ", "joint_limit.a.range: low must be < high, but is [1, -1]"},
    {"JointLimitStiffness", "[observation]",
     "[[joint_limit]]\nname = \"a\"\nactuators = \"push\"\nrange = 1\nstiffness = -1\n[observation]",
     ":17:13: ", "joint_limit.a.stiffness: must be > 0, but is -1"},
    {"JointLimitTwice", "[observation]",
     "[[joint_limit]]\nname = \"a\"\nactuators = [\"push\", \"push\"]\nrange = 1\nstiffness = 1\n[observation]",
     ":15:22: ", "actuator \"push\" has a joint limit already"},
    {"JointLimitNamedTwice", "[observation]",
     "[[joint_limit]]\nname = \"a\"\nactuators = \"push\"\nrange = 1\nstiffness = 1\n"
     "[[joint_limit]]\nname = \"a\"\n[observation]",
     ":19:8: ", "two joint limits are called \"a\""},
    // top level
    {"NoFormat", "kedge = 1", "", ":1:1: ", "kedge: this key is missing"},
    {"OtherFormat", "kedge = 1", "kedge = 2", ":1:9: ", "task files of format 1, but this is the number 2"},
    {"FormatOfOtherType", "kedge = 1", "kedge = \"1\"", ":1:9: ", "format 1, but this is the text \"1\""},
    {"UnknownKey", "horizon = 10", "horizont = 10",
     ":5:1: ", "horizont: this key is unknown; did you mean \"horizon\"?"},
    {"UnknownKeyFarFromAll", "horizon = 10", "zzzzzzzz = 10", ":5:1: ", "known: kedge, name, summary, model, horizon"},
    {"UnknownSection", "[observation]", "[observations]", ":13:2: ", "did you mean \"observation\"?"},
    {"BadName", "name = \"arm\"", "name = \"../arm\"", ":2:8: ", "name: must be a letter, then"},
    {"EmptyName", "name = \"arm\"", "name = \"\"", ":2:8: ", "must not be empty"},
    {"SummaryOfTwoLines", "every key once", "every\\nkey", ":3:11: ", "one line without control characters"},
    {"NoHorizon", "horizon = 10", "", ":1:1: ", "horizon: this key is missing"},
    {"ZeroHorizon", "horizon = 10", "horizon = 0", ":5:11: ", "horizon: must be in [1, 100000], but is 0"},
    {"HugeHorizon", "horizon = 10", "horizon = 1000000000000", ":5:11: ", "must be in [1, 100000]"},
    {"FractionalHorizon", "horizon = 10", "horizon = 10.5",
     ":5:11: ", "must be a whole number in [1, 100000], but is the number 10.5"},
    {"TextForHorizon", "horizon = 10", "horizon = \"10\"", ":5:11: ", "but is the text \"10\""},
    {"DateForHorizon", "horizon = 10", "horizon = 2020-01-01", ":5:11: ", "but is a date or time"},
    {"NegativeStep", "control_step = 0.05", "control_step = -0.05",
     ":6:16: ", "control_step: must be > 0, but is -0.05"},
    {"NanStep", "control_step = 0.05", "control_step = nan", ":6:16: ", "must be a number, but is nan"},
    {"InfiniteStep", "control_step = 0.05", "control_step = inf", ":6:16: ", "must be finite, but is inf"},
    {"TinyStep", "control_step = 0.05", "control_step = 1e-9", ":6:16: ", "must be in [1e-6, 1000] seconds"},
    {"ZeroSubsteps", "substeps = 2", "substeps = 0", ":7:12: ", "must be in [1, 10000], but is 0"},
    {"StepNotAMultiple", "control_step = 0.05\nsubsteps = 2", "control_step = 0.055",
     ":6:16: ", "0.055 s is not a whole number, 1 to 10000, of the model's time steps of 0.01 s; give substeps"},
    // model
    {"NoModel", "model = \"arm.xml\"", "", ":1:1: ", "model: this key is missing"},
    {"AbsentModel", "arm.xml", "leg.xml", ":4:9: ", "there is no file /"},
    {"ModelIsAFolder", "arm.xml", ".", ":4:9: ", "is not a file"},
    {"NumberForModel", "\"arm.xml\"", "3", ":4:9: ", "model: must be a text in quotes, but is the number 3"},
    {"NulInModel", "arm.xml", "arm.xml\\u0000", ":4:9: ", "control characters"},
    {"ModelIsNotXml", "arm.xml", "task.toml", ":4:9: ", " refuses task.toml: XML"},
    {"ModelWithAnUnknownElement", "arm.xml", "typo.xml", ":4:9: ", "wordbody"},
    {"ModelWithoutMass", "arm.xml", "massless.xml", ":4:9: ", "mass"},
    {"ModelWithoutItsMesh", "arm.xml", "meshless.xml", ":4:9: ", "rock.stl"},
    {"ModelThatIncludesItself", "arm.xml", "loop.xml", ":4:9: ", " refuses loop.xml"},
    {"ModelWithoutActuators", "arm.xml", "passive.xml", ":4:9: ", "kedge cannot use passive.xml: it has no actuators"},
    {"ModelWithoutJoints", "arm.xml", "rigid.xml", ":4:9: ", "it has no joints"},
    {"ModelThatIgnoresActions", "arm.xml", "numb.xml", ":4:9: ", "makes actions useless"},
    {"ModelWithUserSensor", "arm.xml", "user_sensor.xml", ":4:9: ", "sensor 0 is of type user"},
    {"ModelWithUserActuator", "arm.xml", "user_actuator.xml", ":4:9: ", "actuator 0 is of type user"},
    // actions
    {"ActionsAreNoTable", "[actions]\nactuators = [\"twist\", \"push\"]\nlimit = [[-1.0, 2.0], 5]", "actions = 3",
     ":9:11: ", "actions: must be a table, but is the number 3"},
    {"UnknownActuator", "\"twist\"", "\"twits\"",
     ":10:14: ", "the model has no actuator \"twits\"; did you mean \"twist\"?"},
    {"ActuatorTwice", "\"twist\"", "\"push\"", ":10:22: ", "actuator \"push\" is named twice"},
    {"NoActuator", "[\"twist\", \"push\"]", "[]", ":10:13: ", "actions.actuators: must not be empty"},
    {"ActuatorByNumber", "\"twist\"", "1", ":10:14: ", "must be a text in quotes, but is the number 1"},
    {"UnknownActionKey",
     "limit =", "limits =", ":11:1: ", "actions.limits: this key is unknown; did you mean \"limit\"?"},
    {"ZeroLimit", "5]", "0]", ":11:23: ", "actions.limit[1]: must be > 0, or [low, high], but is 0"},
    {"NanLimit", "5]", "nan]", ":11:23: ", "must be a number, but is nan"},
    {"LimitBackwards", "[-1.0, 2.0]", "[2.0, -1.0]", ":11:10: ", "low must be < high, but is [2, -1]"},
    {"LimitOfThree", "[-1.0, 2.0]", "[1, 2, 3]", ":11:10: ", "must be a number or [low, high], but is an array of 3"},
    {"TooFewLimits", "[[-1.0, 2.0], 5]", "[5]", ":11:9: ", "must be a number, or an array of 2"},
    {"TextLimit", "[[-1.0, 2.0], 5]", "\"5\"",
     ":11:9: ", "must be a number, an array of 2 or a table of actuators, but is the text \"5\""},
    {"LimitOfUnknownActuator", "[[-1.0, 2.0], 5]", "{ pus = 5 }",
     ":11:11: ", "actions.limit.pus: this key is unknown; did you mean \"push\"?"},
    {"LimitBeyondTheModels", "[-1.0, 2.0]", "[-1.0, 2.5]",
     ":11:10: ", "beyond the ctrlrange [-3, 2] of actuator \"twist\""},
    // observation
    {"NothingObserved", "[\"qvel\", \"qpos:hinge\", \"act\"]", "[]", ":14:9: ", "must not be empty"},
    {"UnknownPart", "\"act\"]", "\"qacc\"]", ":14:32: ", "\"qacc\" is not known; did you mean \"act\"?"},
    {"ObservedForce", "\"act\"]", "\"sensor:force\"]", ":14:32: ", "no value before the action is chosen"},
    {"ObservedAction", "\"act\"]", "\"action\"]",
     ":14:32: ", "\"action\" is not known; known: qpos, qvel, act, sensor:NAME, site:NAME"},
    {"ObservedDifference", "\"act\"]", "\"site:tip - body:cart\"]",
     ":14:32: ", "differences are for [[cost]], [success] and [[termination]]; name both"},
    {"UnknownSite", "\"sensor:tip\"", "\"site:top\"",
     ":32:6: ", "the model has no site \"top\"; did you mean \"tip\"?"},
    {"UnknownBody", "\"sensor:tip\"", "\"body_quat:cat\"",
     ":32:6: ", "the model has no body \"cat\"; did you mean \"cart\"?"},
    {"SiteThatIsABody", "\"sensor:tip\"", "\"site:cart\"", ":32:6: ", "the model has no site \"cart\"; it is a body"},
    {"UnnamedSite", "\"sensor:tip\"", "\"site\"", ":32:6: ", "name the site, \"site:NAME\"; known: tip"},
    {"SiteByNumber", "\"sensor:tip\"", "\"site:0\"", ":32:6: ", "the model has no site \"0\""},
    {"UnknownSide", "\"sensor:tip\"", "\"site:tip - body:poles\"",
     ":32:6: ", "the model has no body \"poles\"; did you mean \"pole\"?"},
    {"DifferenceOfKinds", "\"sensor:tip\"", "\"site:tip - qpos\"", ":32:6: ", "all of them must be of one kind"},
    {"DifferenceOfSizes", "\"sensor:tip\"", "\"site:tip - site:tip[z]\"",
     ":32:6: ", "is a difference of 3 and 1 numbers"},
    {"UnknownAxis", "\"sensor:tip\"", "\"site:tip[w]\"",
     ":32:6: ", "in brackets goes x, y, z, a number or A..B in [0, 2], but there is \"w\""},
    {"EntryBeyond", "\"sensor:tip\"", "\"sensor:tip[3]\"",
     ":32:6: ", "in brackets goes a number or A..B in [0, 2], but there is \"3\""},
    {"EntriesBackwards", "\"sensor:tip\"", "\"sensor:tip[2..1]\"", ":32:6: ", "but there is \"2..1\""},
    {"BracketsWithoutName", "\"sensor:tip\"", "\"qpos[0]\"", ":32:6: ", "name the joint before the brackets"},
    {"ObservedOutcome", "\"act\"]", "\"after:qpos\"]", ":14:32: ", "\"after:qpos\" is not known; known: qpos, qvel"},
    {"AfterAnAction", "\"sensor:tip\"", "\"after:action\"", ":32:6: ", "\"action\" is not known"},
    {"AfterAForce", "\"sensor:tip\"", "\"after:sensor:force\"", ":32:6: ", "no value before the next action"},
    {"AfterNothing", "\"sensor:tip\"", "\"after:\"", ":32:6: ", "\"\" is not known"},
    {"AfterASiteThatIsNone", "\"sensor:tip\"", "\"after:site:top\"", ":32:6: ", "did you mean \"tip\"?"},
    {"ChangeOfAVelocity", "\"sensor:tip\"", "\"change:qvel\"", ":32:6: ", "change: is of qpos, \"change:qpos:JOINT\""},
    {"ChangeOfNoJoint", "\"sensor:tip\"", "\"change:qpos:rial\"", ":32:6: ", "did you mean \"rail\"?"},
    {"ChangeAndState", "\"sensor:tip\"", "\"change:qpos - qpos\"", ":32:6: ", "all of them must be of one kind"},
    {"OutcomeAtTheEnd", "\"sensor:tip\"\nmatrix = [[0, 0, 1]]\ntarget = 1.0", "\"change:qpos:rail\"",
     ":36:20: ", "the final state has no action"},
    {"AttitudeOfAPlace", "norm = \"smooth\"", "attitude = true\nnorm = \"smooth\"",
     ":36:12: ", "needs the 4 entries of one quaternion, without matrix, difference or angle"},
    {"AttitudeWithoutNorm", "of = \"sensor:tip\"\nmatrix = [[0, 0, 1]]\ntarget = 1.0",
     "of = \"body_quat:pole\"\ntarget = [1, 1, 0, 0]",
     ":33:10: ", "of an attitude must be a quaternion [w, x, y, z] of norm 1, but its norm is 1.41"},
    // early ends
    {"TerminationTable", "[success]", "[termination]\n[success]", ":47:1: ", "must be written [[termination]]"},
    {"TerminationWithoutRange", "[success]", "[[termination]]\nname = \"a\"\nof = \"qpos:rail\"\ncost = 1\n[success]",
     ":47:1: ", "termination.a.range: this key is missing"},
    {"TerminationWithoutCost", "[success]", "[[termination]]\nname = \"a\"\nof = \"qpos:rail\"\nrange = 1\n[success]",
     ":47:1: ", "termination.a.cost: this key is missing"},
    {"TerminationThatPays", "[success]",
     "[[termination]]\nname = \"a\"\nof = \"qpos:rail\"\nrange = 1\ncost = -1\n[success]",
     ":51:8: ", "termination.a.cost: must be >= 0, but is -1"},
    {"TerminationByActions", "[success]",
     "[[termination]]\nname = \"a\"\nof = \"action\"\nrange = 1\ncost = 1\n[success]",
     ":49:6: ", "must have a value at every state, but this depends on the action"},
    {"TerminationTwice", "[success]",
     "[[termination]]\nname = \"a\"\nof = \"qvel:rail\"\nrange = 1\ncost = 1\n[[termination]]\nname = \"a\"\n[success]",
     ":53:8: ", "two terminations are called \"a\""},
    {"TerminationAtTheStart", "[success]",
     "[[termination]]\nname = \"a\"\nof = \"qpos:rail\"\nrange = [0.6, 2]\ncost = 1\n[success]",
     ":50:9: ", "termination.a.range: the mean start is outside of it already"},
    {"TerminationKey", "[success]", "[[termination]]\nlow = 1\n[success]",
     ":48:1: ", "termination[0].low: this key is unknown"},
    {"UnknownJoint", "qpos:hinge", "qpos:hing", ":14:18: ", "the model has no joint \"hing\"; did you mean \"hinge\"?"},
    {"PartTwice", "\"act\"]", "\"qvel:rail\"]", ":14:32: ", "\"qvel:rail\" is named twice"},
    {"NoNameAfterColon", "qpos:hinge", "qpos:", ":14:18: ", "the model has no joint \"\""},
    // start
    {"UnknownDistribution", "\"uniform\"", "\"unifrom\"",
     ":17:16: ", "start.distribution: \"unifrom\" is not known; did you mean \"uniform\"?"},
    {"WrongStartSize", "[0.5, 3.0]", "[0.5]",
     ":18:8: ", "start.qpos: must be a number or an array of 2, but is an array of 1"},
    {"TextInStart", "[0.5, 3.0]", "[0.5, \"3\"]", ":18:14: ", "start.qpos[1]: must be a number, but is the text \"3\""},
    {"InfiniteStart", "qvel = 0.25", "qvel = inf", ":19:8: ", "start.qvel: must be finite"},
    {"StartThatDiverges", "qvel = 0.25", "qvel = 1e11",
     ":19:8: ", "start.qvel: the simulation of arm.xml diverges in the first control step"},
    {"UnknownStartJoint", "{ hinge = 0.1 }", "{ hinges = 0.1 }",
     ":21:17: ", "start.qpos_spread.hinges: this key is unknown; did you mean \"hinge\"?"},
    {"NegativeSpread", "qvel_spread = 0.2", "qvel_spread = [0.2, -0.1]",
     ":22:21: ", "start.qvel_spread[1]: must be >= 0, but is -0.1"},
    {"UnknownStartKey", "qvel_spread", "qvel_std",
     ":22:1: ", "start.qvel_std: this key is unknown; known: distribution, qpos"},
    // cost
    {"CostWithoutName", "name = \"effort\"", "", ":25:1: ", "cost[0].name: this key is missing"},
    {"BadCostName", "\"effort\"", "\"eff.ort\"", ":26:8: ", "must be a letter, then up to 63"},
    {"CostNameTwice", "\"effort\"", "\"height\"", ":31:8: ", "two terms are called \"height\""},
    {"CostOfNothing", "of = \"action\"", "", ":25:1: ", "cost.effort.of: this key is missing"},
    {"CostOfUnknown", "\"action\"", "\"actions\"",
     ":27:6: ", "cost.effort.of: \"actions\" is not known; did you mean \"action\"?"},
    {"CostOfUnknownSensor", "\"sensor:tip\"", "\"sensor:top\"",
     ":32:6: ", "the model has no sensor \"top\"; did you mean \"tip\"?"},
    {"CostOfUnnamedSensor", "\"sensor:tip\"", "\"sensor\"",
     ":32:6: ", "name the sensor, \"sensor:NAME\"; known: tip, spin, force"},
    {"CostOfMixedKinds", "[\"qvel\", \"qpos:rail\"]", "[\"qvel\", \"action\"]",
     ":42:15: ", "all of them must be of one kind"},
    {"UnknownCostKey", "weight = [1.0, 2.0]", "weigth = [1.0, 2.0]",
     ":28:1: ", "cost[0].weigth: this key is unknown; did you mean \"weight\"?"},
    {"WeightThatOverflows", "weight = [1.0, 2.0]", "weight = [1.0, 1e300]",
     ":28:10: ", "cost.effort.weight: must be <= 1e+50, but is 1e+300"},
    {"NegativeWeight", "weight = [1.0, 2.0]", "weight = [1.0, -2.0]",
     ":28:16: ", "cost.effort.weight[1]: must be >= 0, but is -2"},
    {"WrongWeightSize", "weight = [1.0, 2.0]", "weight = [1.0, 2.0, 3.0]",
     ":28:10: ", "must be a number or an array of 2, but is an array of 3"},
    {"BooleanWeight", "weight = [1.0, 2.0]", "weight = true",
     ":28:10: ", "must be a number or an array of 2, but is true"},
    {"RaggedMatrix", "matrix = [[0, 0, 1]]", "matrix = [[0, 0, 1], [1, 0]]",
     ":33:22: ", "cost.height.matrix[1]: must be a number or an array of 3"},
    {"MatrixOfNumbers", "matrix = [[0, 0, 1]]", "matrix = [0, 0, 1]",
     ":33:11: ", "must be a row of 3 numbers, but is the number 0"},
    {"MatrixIsANumber", "matrix = [[0, 0, 1]]", "matrix = 1", ":33:10: ", "must be an array, but is the number 1"},
    {"EmptyMatrix", "matrix = [[0, 0, 1]]", "matrix = []", ":33:10: ", "must not be empty"},
    {"NanInMatrix", "matrix = [[0, 0, 1]]", "matrix = [[0, 0, nan]]", ":33:18: ", "must be a number, but is nan"},
    {"WrongTargetSize", "target = 1.0", "target = [1.0, 2.0]", ":34:10: ", "must be a number or an array of 1"},
    {"UnknownNorm", "\"smooth\"", "\"smoth\"", ":36:8: ", "\"smoth\" is not known; did you mean \"smooth\"?"},
    {"NoWidth", "width = 0.5", "", ":30:1: ", "cost.height.width: this key is missing"},
    {"ZeroWidth", "width = 0.5", "width = 0", ":37:9: ", "must be > 0, but is 0"},
    {"WidthWithoutSmooth", "norm = \"absolute\"", "width = 1",
     ":44:9: ", "only the norms \"smooth\", \"bounded\" and \"distance\" have a width"},
    // steps
    {"UnknownSteps", "\"last 3\"", "\"lats 3\"", ":38:10: ",
     "must be \"all\", \"first N\", \"last N\", \"A..B\", \"final\" or the number of a step, but is \"lats 3\""},
    {"StepsWithoutNumber", "\"last 3\"", "\"last \"", ":38:10: ", "but is \"last\""},
    {"StepsOfAFraction", "\"last 3\"", "\"last 3.5\"", ":38:10: ", "but is \"last 3.5\""},
    {"TooManySteps", "\"last 3\"", "\"last 11\"",
     ":38:10: ", "\"last 11\" has the number 11, but it must be in [1, 10]"},
    {"NoSteps", "\"last 3\"", "\"first 0\"", ":38:10: ", "must be in [1, 10]"},
    {"StepBeyondTheEnd", "\"0..1\", 4", "\"0..1\", 10",
     ":45:18: ", "cost.still.steps[1]: must be in [0, 9], but is 10"},
    {"RangeBeyondTheEnd", "\"0..1\"", "\"0..10\"", ":45:10: ", "must be in [0, 9]"},
    {"RangeBackwards", "\"0..1\"", "\"3..1\"", ":45:10: ", "\"3..1\" has the number 1, but it must be in [3, 9]"},
    {"RangeWithoutEnd", "\"0..1\"", "\"0..\"", ":45:10: ", "but is \"0..\""},
    {"NegativeStepNumber", "\"0..1\", 4", "-1", ":45:10: ", "must be in [0, 9], but is -1"},
    {"NoStepsAtAll", "[\"0..1\", 4]", "[]", ":45:9: ", "must not be empty"},
    {"StepsInArrayOfArrays", "[\"0..1\", 4]", "[[1]]", ":45:10: ", "or the number of a step, but is an array of 1"},
    {"FinalActionCost", "weight = [1.0, 2.0]", "steps = [\"all\", \"final\"]",
     ":28:17: ", "the final state has no action, and this quantity needs one"},
    {"FinalForceSensor", "\"sensor:tip\"\nmatrix = [[0, 0, 1]]\ntarget = 1.0", "\"sensor:force\"",
     ":36:20: ", "the final state has no action"},
    // success
    {"SuccessWithoutBound", "below = 0.2", "", ":47:1: ", "success.below: this key is missing"},
    {"ZeroBound", "below = 0.2", "below = 0", ":53:9: ", "success.below: must be > 0, but is 0"},
    {"UnknownStatistic", "\"max_abs\"", "\"max\"", ":52:13: ", "success.statistic: \"max\" is not known"},
    {"SuccessWithoutSteps", "below = 0.2\nsteps = \"final\"", "below = 0.2",
     ":47:1: ", "success.steps: this key is missing"},
    {"SeveralSuccesses", "[success]", "[[success]]", ":47:1: ", "success: must be a table, but is an array of 1"},
};

class WrongTaskFile : public testing::TestWithParam<Wrong> {};

void write_models(const TemporaryFolder& folder) {
  folder.write("arm.xml", kModel);
  folder.write("typo.xml", replaced(kModel, "<worldbody>", "<wordbody>"));
  folder.write("massless.xml",
               "<mujoco><worldbody><body><joint name=\"j\"/></body></worldbody><actuator><motor "
               "joint=\"j\"/></actuator></mujoco>");
  folder.write("meshless.xml", replaced(kModel, "<worldbody>", "<asset><mesh file=\"rock.stl\"/></asset><worldbody>"));
  folder.write("loop.xml", replaced(kModel, "<worldbody>", "<include file=\"loop.xml\"/><worldbody>"));
  folder.write("passive.xml", "<mujoco><worldbody><body><joint/><geom size=\"0.1\"/></body></worldbody></mujoco>");
  folder.write("rigid.xml", "<mujoco><worldbody><body><geom size=\"0.1\"/></body></worldbody></mujoco>");
  folder.write("numb.xml",
               replaced(kModel, "integrator=\"RK4\"/>", "integrator=\"RK4\"><flag actuation=\"disable\"/></option>"));
  folder.write("user_sensor.xml", replaced(kModel, "<sensor>",
                                           "<sensor><user name=\"u\" dim=\"1\" objtype=\"body\" objname=\"cart\" "
                                           "needstage=\"pos\" datatype=\"real\"/>"));
  folder.write("user_actuator.xml",
               replaced(kModel, "<actuator>", "<actuator><general joint=\"rail\" gaintype=\"user\"/>"));
}

/// The complaint about a task file; empty if there is none.
std::string complaint(const std::string& path, const std::vector<Override>& overrides = {}) {
  try {
    load_task(path, overrides);
  } catch (const InputError& error) {
    return error.what();
  }
  return "";
}

TEST_P(WrongTaskFile, IsRefusedWithItsPlaceOnOneLine) {
  const Wrong& wrong = GetParam();
  const TemporaryFolder folder;
  write_models(folder);
  const std::string path = folder.write("task.toml", replaced(kTask, wrong.from, wrong.to));
  const std::string message = complaint(path);
  EXPECT_THAT(message, StartsWith(path + wrong.place));
  EXPECT_THAT(message, HasSubstr(wrong.expected));
  EXPECT_EQ(message.find('\n'), std::string::npos);
  EXPECT_LT(message.size(), 1500u);
}

INSTANTIATE_TEST_SUITE_P(Table, WrongTaskFile, testing::ValuesIn(kWrong),
                         [](const auto& wrong) { return std::string(wrong.param.name); });

TEST(WrongOverride, IsRefusedOnOneLineThatRepeatsIt) {
  const TemporaryFolder folder;
  write_models(folder);
  const std::string path = folder.write("task.toml", kTask);
  struct {
    const char* key;
    const char* value;
    const char* expected;
  } const wrong[] = {
      {"horizont", "3", "horizont: this key is unknown; did you mean \"horizon\"?"},
      {"action.limit", "3", "action: this key is unknown; did you mean \"actions\"?"},
      {"actions.limt", "3", "actions.limt: this key is unknown; did you mean \"limit\"?"},
      {"actions.limit", "-3", "actions.limit: must be > 0, or [low, high], but is -3"},
      {"actions.limit", "[1, \"a\"]", "must be a number, but is the text \"a\""},
      {"actions.limit", "[1, 2", "the value cannot be read"},
      {"actions.limit", "", "the value is missing"},
      {"actions.limit", "1\nhorizon = 2", "the value cannot be read"},
      {"cost.effort.of", "qvel:root[z]", "root"},  // read as a text
      {"horizon.x", "3", "horizon is not a table"},
      {"", "3", "the key must be names with single dots"},
      {"actions..limit", "3", "the key must be names with single dots"},
      {".horizon", "3", "the key must be names with single dots"},
      {"cost", "3", "cost: must be one or more [[cost]] tables, but is the number 3"},
      {"cost", "[]", "cost: must have at least one element"},
      {"cost.efort.weight", "3", "cost has no element \"efort\"; did you mean \"effort\"?"},
      {"cost.3.weight", "3", "cost has no element \"3\"; known: effort, height, still"},
      {"cost.effort", "3", "\"effort\" is a whole element of cost; set one of its keys"},
      {"cost.effort.wait", "3", "cost[0].wait: this key is unknown"},
      {"cost.height.steps", "last 20", "\"last 20\" has the number 20, but it must be in [1, 10]"},
      {"start.distribution", "normal", "\"normal\" is not known; known: gaussian, uniform"},
      {"model", "leg.xml", "there is no file"},
      {"cost.effort.of", "action:pull", "the model has no actuator among the actions \"pull\"; did you mean \"push\"?"},
  };
  for (const auto& [key, value, expected] : wrong) {
    const std::string message = complaint(path, {{key, value}});
    EXPECT_THAT(message, StartsWith(std::string("--set task.") + key + "=")) << key;
    EXPECT_THAT(message, HasSubstr(expected));
    EXPECT_EQ(message.find('\n'), std::string::npos);
  }
}

TEST(WrongTask, HasThousandsOfTerms) {
  const TemporaryFolder folder;
  folder.write("arm.xml", kModel);
  std::string terms;
  for (int i = 0; i <= 1000; ++i) terms += fmt::format("[[cost]]\nname = \"c{}\"\nof = \"action\"\n", i);
  const std::string path = folder.write("task.toml", replaced(kTask, "[success]", terms + "[success]"));
  EXPECT_EQ(complaint(path), fmt::format("{}:25:1: cost: has 1004 terms, but must have at most 1000", path));
}

TEST(WrongTask, WithoutNameInAFolderThatCannotBeOneGetsOneMadeOfIt) {
  const TemporaryFolder folder;
  folder.write("a\nb/arm.xml", kModel);
  const std::string path = folder.write("a\nb/task.toml", replaced(kTask, "name = \"arm\"\n", ""));
  EXPECT_EQ(load_task(path).task.name, "a_b");
}

TEST(WrongTask, WithoutCostIsRefused) {
  const TemporaryFolder folder;
  write_models(folder);
  const std::string start = "kedge = 1\nmodel = \"arm.xml\"\nhorizon = 4\ncontrol_step = 0.05\n";
  EXPECT_THAT(complaint(folder.write("task.toml", start)), HasSubstr("task.toml:1:1: cost: this key is missing"));
  EXPECT_THAT(complaint(folder.write("task.toml", start + "cost = 3\n")),
              HasSubstr(":5:8: cost: must be one or more [[cost]] tables"));
  EXPECT_THAT(complaint(folder.write("task.toml", start + "[cost]\nname = \"c\"\n")),
              HasSubstr("tables, but is a table"));
}

TEST(WrongPath, IsRefused) {
  const TemporaryFolder folder;
  EXPECT_THAT(complaint(folder.path("absent.toml")), HasSubstr("absent.toml: there is no such file"));
  EXPECT_THAT(complaint(folder.path("")), HasSubstr("is not a regular file, but a folder"));
  EXPECT_THAT(complaint("/dev/zero"), HasSubstr("is not a regular file, but a device"));
  EXPECT_THAT(complaint(""), HasSubstr("there is no such file"));
  EXPECT_THAT(complaint(std::string(100000, 'x')), HasSubstr("there is no such file"));
  EXPECT_THAT(complaint(folder.write("large.toml", std::string((16 << 20) + 1, '#'))),
              HasSubstr("bytes, but must have at most 16777216"));
  EXPECT_THAT(complaint(folder.write("empty.toml", "")), HasSubstr("empty.toml:"));
  EXPECT_THAT(complaint(folder.write("deep.toml", "a = " + std::string(100000, '['))),
              HasSubstr("arrays and tables are more than 16 levels deep"));
}

TEST(WrongModel, IsRefusedWithItsPlace) {
  const TemporaryFolder folder;
  const std::string path = folder.write("task.toml", kTask);
  for (const std::string& text :
       {std::string(), std::string(1000, '\0'), std::string("<mujoco/>"), std::string("<robot/>"),
        std::string("<mujoco>"), std::string(5000, '<'), kModel.substr(0, 500),
        replaced(kModel, "joint=\"rail\"", "joint=\"rial\""), replaced(kModel, "size=\"0.1\"", "size=\"a\"")}) {
    folder.write("arm.xml", text);
    const std::string message = complaint(path);
    EXPECT_THAT(message, StartsWith(path + ":4:9: model: ")) << text.substr(0, 100);
    EXPECT_EQ(message.find('\n'), std::string::npos);
  }
}

}  // namespace
}  // namespace kedge
