// What Gazebo Classic thinks, for tests: rays, poses and velocities, and time step by step, over a line-based TCP protocol.
//
//   ray X0 Y0 Z0 X1 Y1 Z1    ->  distance (m) and name of the first collision that the segment hits, or "free"
//   velocity MODEL VX VY VZ  ->  "ok"; the model moves like that from the next step on
//   pose MODEL               ->  simulated time, x y z, qw qx qy qz, vx vy vz
//   arguments                ->  the server's command line, as its other plug-ins get it
//   step N                   ->  N physics steps later: simulated time
//
// A system plugin, so that the world is loaded exactly as it was written: gzserver -u -s oracle.so WORLD.
// ORACLE_PORT in the environment says where to listen, on loopback.

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <functional>
#include <iostream>
#include <limits>
#include <map>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include <gazebo/common/common.hh>
#include <gazebo/gazebo.hh>
#include <gazebo/physics/physics.hh>

namespace gazebo
{
class Oracle : public SystemPlugin
{
  public: void Load(int _argc, char **_argv) override
  {
    this->arguments.assign(_argv, _argv + _argc);
    this->created = event::Events::ConnectWorldCreated([this](const std::string &_name)
    {
      this->world = physics::get_world(_name);
      this->updated = event::Events::ConnectWorldUpdateBegin([this](const common::UpdateInfo &) { this->Push(); });
      std::thread([this] { this->Serve(); }).detach();
    });
  }

  /// Give every commanded model its velocity, again at each step as a simulator's plugin does.
  private: void Push()
  {
    for (const auto &command : this->velocities)
      this->world->ModelByName(command.first)->SetLinearVel(command.second);
  }

  private: void Serve()
  {
    while (!this->world->IsLoaded() || !this->world->Running())
      common::Time::MSleep(10);
    const int listener = socket(AF_INET, SOCK_STREAM, 0);
    const int yes = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(std::atoi(std::getenv("ORACLE_PORT")));
    if (bind(listener, reinterpret_cast<sockaddr *>(&address), sizeof(address)) != 0 || listen(listener, 1) != 0)
    {
      gzerr << "oracle: cannot listen" << std::endl;
      return;
    }
    const int client = accept(listener, nullptr, nullptr);
    {
      boost::recursive_mutex::scoped_lock lock(*this->world->Physics()->GetPhysicsUpdateMutex());
      this->world->Physics()->InitForThread();
      this->world->Physics()->SetRealTimeUpdateRate(0);  // as fast as the machine can
      this->ray = boost::dynamic_pointer_cast<physics::RayShape>(
          this->world->Physics()->CreateShape("ray", physics::CollisionPtr()));
    }
    std::string pending;
    char buffer[65536];
    for (ssize_t count; (count = read(client, buffer, sizeof(buffer))) > 0;)
    {
      pending.append(buffer, count);
      std::string answers;
      for (size_t end; (end = pending.find('\n')) != std::string::npos; pending.erase(0, end + 1))
        answers += this->Answer(pending.substr(0, end)) + "\n";
      for (size_t sent = 0; sent < answers.size();)
      {
        const ssize_t part = write(client, answers.data() + sent, answers.size() - sent);
        if (part <= 0)
          return;
        sent += part;
      }
    }
  }

  private: std::string Answer(const std::string &_line)
  {
    std::istringstream in(_line);
    std::ostringstream out;
    out.precision(std::numeric_limits<double>::max_digits10);
    std::string order, name;
    in >> order;
    if (order == "ray")
    {
      ignition::math::Vector3d start, end;
      in >> start >> end;
      double distance;
      std::string entity;
      boost::recursive_mutex::scoped_lock lock(*this->world->Physics()->GetPhysicsUpdateMutex());
      this->ray->SetPoints(start, end);
      this->ray->GetIntersection(distance, entity);
      if (entity.empty())
        return "free";
      out << distance << " " << entity;
    }
    else if (order == "velocity")
    {
      ignition::math::Vector3d velocity;
      in >> name >> velocity;
      if (!this->world->ModelByName(name))
        return "no model " + name;
      this->velocities[name] = velocity;
      return "ok";
    }
    else if (order == "pose")
    {
      in >> name;
      const auto model = this->world->ModelByName(name);
      if (!model)
        return "no model " + name;
      const auto pose = model->WorldPose();
      out << this->world->SimTime().Double() << " " << pose.Pos() << " " << pose.Rot().W() << " " << pose.Rot().X()
          << " " << pose.Rot().Y() << " " << pose.Rot().Z() << " " << model->WorldLinearVel();
    }
    else if (order == "arguments")
    {
      for (const auto &word : this->arguments)
        out << word << " ";
    }
    else if (order == "step")
    {
      unsigned int count = 0;
      in >> count;
      this->world->Step(count);
      out << this->world->SimTime().Double();
    }
    else
      return "no such order " + order;
    return out.str();
  }

  private: event::ConnectionPtr created, updated;
  private: physics::WorldPtr world;
  private: physics::RayShapePtr ray;
  private: std::vector<std::string> arguments;
  private: std::map<std::string, ignition::math::Vector3d> velocities;
};

GZ_REGISTER_SYSTEM_PLUGIN(Oracle)
}
