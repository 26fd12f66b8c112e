// Where the sections of a compiled model lie: computed from the header's counts,
// so that no offset is ever read from the bytes.
#pragma once

#include "core/base/guard.h"

#include <cstddef>
#include <cstdint>

#include "core/forest/flat_model.h"

namespace fraud {

constexpr uint32_t kFlatMagic = 0x54414C46;  // "FLAT", in the machine's byte order

struct FlatLayout {
  explicit FlatLayout(const FlatHeader& header) {
    // Counts have 32 bits and elements few bytes, so 64 bits hold every sum.
    place(1, sizeof(FlatHeader));
    name_ends = place(header.feature_count, sizeof(uint32_t));
    names = place(header.name_bytes, 1);
    ranks = place(header.rank_count, sizeof(FlatRank));
    cuts = place(header.cut_count, sizeof(float));
    slots = place(header.slot_count, sizeof(FlatSlot));
    words = place(header.word_count, sizeof(uint32_t));
    roots = place(uint64_t{header.tree_count} + 1, sizeof(uint32_t));
    depths = place(header.tree_count, 1);
    nodes = place(header.node_count, sizeof(FlatNode));
    values = place(header.node_count, sizeof(float));
    shares = place(header.node_count, sizeof(float));
    const bool has_blocks = header.slot_count <= kMaxBlockSlots;
    const uint64_t groups = (uint64_t{header.tree_count} + kTreeGroup - 1) / kTreeGroup;
    const uint64_t places = has_blocks ? groups * kTreeGroup * kTopSize : 0;
    block_slots = place(places, 1);
    block_thresholds = place(places, 1);
    block_exits = place(places, sizeof(uint32_t));
  }

  uint64_t total_bytes = 0;
  uint64_t name_ends, names, ranks, cuts, slots, words, roots, depths, nodes, values, shares,
      block_slots, block_thresholds, block_exits;

 private:
  // Reserves a section and returns where it begins.
  uint64_t place(uint64_t count, uint64_t size) {
    const uint64_t start = total_bytes;
    total_bytes += (count * size + kFlatAlignment - 1) / kFlatAlignment * kFlatAlignment;
    return start;
  }
};

// The sections as they are written.
struct FlatWriter {
  FlatWriter(char* bytes, const FlatLayout& layout)
      : header(reinterpret_cast<FlatHeader*>(bytes)),
        name_ends(reinterpret_cast<uint32_t*>(bytes + layout.name_ends)),
        names(bytes + layout.names),
        ranks(reinterpret_cast<FlatRank*>(bytes + layout.ranks)),
        cuts(reinterpret_cast<float*>(bytes + layout.cuts)),
        slots(reinterpret_cast<FlatSlot*>(bytes + layout.slots)),
        words(reinterpret_cast<uint32_t*>(bytes + layout.words)),
        roots(reinterpret_cast<uint32_t*>(bytes + layout.roots)),
        depths(reinterpret_cast<uint8_t*>(bytes + layout.depths)),
        nodes(reinterpret_cast<FlatNode*>(bytes + layout.nodes)),
        values(reinterpret_cast<float*>(bytes + layout.values)),
        shares(reinterpret_cast<float*>(bytes + layout.shares)),
        block_slots(reinterpret_cast<uint8_t*>(bytes + layout.block_slots)),
        block_thresholds(reinterpret_cast<uint8_t*>(bytes + layout.block_thresholds)),
        block_exits(reinterpret_cast<uint32_t*>(bytes + layout.block_exits)) {}

  FlatHeader* header;
  uint32_t* name_ends;
  char* names;
  FlatRank* ranks;
  float* cuts;
  FlatSlot* slots;
  uint32_t* words;
  uint32_t* roots;
  uint8_t* depths;
  FlatNode* nodes;
  float* values;
  float* shares;
  uint8_t* block_slots;
  uint8_t* block_thresholds;
  uint32_t* block_exits;
};

}  // namespace fraud
