// A plug-in that does nothing, to stand in for one of gazebo_ros': that Gazebo finds and loads it is all there is to see.

#include <gazebo/common/Plugin.hh>

namespace gazebo
{
#ifdef STUB_OF_MODEL
struct ModelStub : public ModelPlugin
{
  void Load(physics::ModelPtr, sdf::ElementPtr) override {}
};
GZ_REGISTER_MODEL_PLUGIN(ModelStub)
#else
struct SystemStub : public SystemPlugin  // of another name: Gazebo loads symbols globally
{
  void Load(int, char **) override {}
};
GZ_REGISTER_SYSTEM_PLUGIN(SystemStub)
#endif
}
