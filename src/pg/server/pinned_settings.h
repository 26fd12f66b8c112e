// What people set for a session, a role or a database changes how values look, and nothing that is computed or stored.
#pragma once

namespace fraud::pg {

// Until the level of settings ends: our own statements write and read texts, JSON among them, in one way. Plain Postgres code, as
// the next.
void pin_formats();

// Likewise what people's own code computes, and tables are read.
void pin_value_settings();

// The same until the end of its life.
class PinnedSettings {
 public:
  PinnedSettings();
  ~PinnedSettings() noexcept;
  PinnedSettings(const PinnedSettings&) = delete;
  PinnedSettings& operator=(const PinnedSettings&) = delete;

 private:
  int exceptions_, level_ = 0;
};

}  // namespace fraud::pg
