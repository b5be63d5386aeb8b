// Loads each SDF file named on the command line with libsdformat. Prints every error; exit code 1 where there is one.
// Then prints, for each file: its name, models, links, visuals, collisions and plugins.

#include <iostream>

#include <sdf/sdf.hh>

static uint64_t Plugins(const sdf::ElementPtr &_parent)
{
  uint64_t count = 0;
  for (auto plugin = _parent->HasElement("plugin") ? _parent->GetElement("plugin") : nullptr; plugin;
       plugin = plugin->GetNextElement("plugin"))
    ++count;
  return count;
}

int main(int argc, char **argv)
{
  bool valid = true;
  for (int i = 1; i < argc; ++i)
  {
    sdf::Root root;
    for (const auto &error : root.Load(argv[i]))
    {
      std::cout << argv[i] << ": " << error << "\n";
      valid = false;
    }
    for (uint64_t w = 0; valid && w < root.WorldCount(); ++w)
    {
      const sdf::World *world = root.WorldByIndex(w);
      uint64_t links = 0, visuals = 0, collisions = 0, plugins = Plugins(world->Element());
      for (uint64_t m = 0; m < world->ModelCount(); ++m)
      {
        const sdf::Model *model = world->ModelByIndex(m);
        plugins += Plugins(model->Element());
        links += model->LinkCount();
        for (uint64_t l = 0; l < model->LinkCount(); ++l)
        {
          visuals += model->LinkByIndex(l)->VisualCount();
          collisions += model->LinkByIndex(l)->CollisionCount();
        }
      }
      std::cout << world->Name() << " " << world->ModelCount() << " " << links << " " << visuals << " " << collisions
                << " " << plugins << "\n";
    }
  }
  return valid ? 0 : 1;
}
