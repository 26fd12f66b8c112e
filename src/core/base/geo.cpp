#include "core/base/geo.h"

#include <cmath>

namespace fraud {
namespace {

constexpr double kEarthRadiusKm = 6371.0088;
constexpr double kRadiansPerDegree = 3.14159265358979323846 / 180;

}  // namespace

double distance_km(double latitude1, double longitude1, double latitude2,
                   double longitude2) noexcept {
  const double sin_latitude = std::sin((latitude2 - latitude1) * kRadiansPerDegree / 2);
  const double sin_longitude = std::sin((longitude2 - longitude1) * kRadiansPerDegree / 2);
  const double haversine =
      sin_latitude * sin_latitude + std::cos(latitude1 * kRadiansPerDegree) *
                                        std::cos(latitude2 * kRadiansPerDegree) * sin_longitude *
                                        sin_longitude;
  // Rounding may exceed 1 at antipodes. (std::min would turn a NaN into 1.)
  return 2 * kEarthRadiusKm * std::asin(std::sqrt(haversine > 1 ? 1 : haversine));
}

}  // namespace fraud
