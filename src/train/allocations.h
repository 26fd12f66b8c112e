// Whether memory ran out in the training program, whichever library met it and however that words it.
#pragma once

namespace fraud {

// Tells whether an allocation of this process has failed since it began, in any thread.
bool allocation_failed();

}  // namespace fraud
