// Prints the best confirmed track of each frame.
#include <algorithm>
#include <cinttypes>
#include <memory>

#include <dsad_msgs/msg/track_array.hpp>
#include <rclcpp/rclcpp.hpp>
#include <sensor_msgs/msg/image.hpp>

using dsad_msgs::msg::Track;
using dsad_msgs::msg::TrackArray;
using sensor_msgs::msg::Image;

class TrackFollower : public rclcpp::Node {
public:
  TrackFollower() : Node("track_follower") {
    // Both are reliable, so the default QoS fits.
    mask_ = create_subscription<Image>("/irst/mask", 10, [this](Image::ConstSharedPtr mask) {
      const auto pixels = mask->data.size() - std::count(mask->data.begin(), mask->data.end(), 0);
      // The header is the frame's own: the stamp joins mask, tracks and frame.
      const auto & stamp = mask->header.stamp;
      RCLCPP_INFO(get_logger(), "mask %d.%09u: %ux%u, %zu px", stamp.sec, stamp.nanosec, mask->width, mask->height,
                  pixels);
    });
    tracks_ = create_subscription<TrackArray>("/irst/tracks", 10, [this](TrackArray::ConstSharedPtr message) {
      if (message->best < 0) return;
      // The best track is confirmed: one that moves against the scene, then the oldest.
      const auto & best = message->tracks[message->best];
      RCLCPP_INFO(get_logger(), "track %" PRIu64 ": (%.1f, %.1f) px, (%.1f, %.1f) px/s%s", best.id, best.x, best.y,
                  best.vx, best.vy, best.motion == Track::MOVING ? ", moves" : "");
    });
  }

private:
  rclcpp::Subscription<Image>::SharedPtr mask_;
  rclcpp::Subscription<TrackArray>::SharedPtr tracks_;
};

int main(int argc, char ** argv) {
  rclcpp::init(argc, argv);
  rclcpp::spin(std::make_shared<TrackFollower>());
  rclcpp::shutdown();
}
