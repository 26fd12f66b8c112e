// Places on the earth.
#pragma once

#include "core/base/guard.h"

namespace fraud {

// Great-circle distance in km on a sphere of radius 6371.0088 km (haversine), of
// places in degrees.
double distance_km(double latitude1, double longitude1, double latitude2,
                   double longitude2) noexcept;

}  // namespace fraud
