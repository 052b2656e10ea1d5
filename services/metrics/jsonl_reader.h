// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/metrics/series_store.h"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace desk {

/// A line that was not read, and why.
struct SkippedLine
{
    std::uint64_t line = 0; ///< from 1
    std::string why;
};

/// What a ledger held besides samples.
struct LedgerReport
{
    std::uint64_t lines = 0; ///< complete lines, blank ones included
    std::uint64_t rows = 0; ///< lines that were one JSON object
    std::uint64_t bytes = 0; ///< consumed, held back bytes included
    std::uint64_t skipped = 0; ///< lines lost
    std::vector<SkippedLine> skippedLines; ///< the first kMaxNamedLines of them
    std::uint64_t droppedNames = 0; ///< entries left out because the file has too many names
    std::uint64_t tornBytes = 0; ///< held back: the end is half written
    std::string xKey; ///< as spelled in the file; empty: the row number is x
};

/// Per key: entries that are no samples.
struct KeyReport
{
    std::string name;
    std::uint64_t nulls = 0;
    std::uint64_t texts = 0;
    std::uint64_t points = 0;
};

/// Reads a JSON Lines ledger as it grows. Rules of points, x, nesting and damage: those of the run
/// fixtures (tests/data/metrics/README.md). A line that begins like JSON and is none costs itself
/// only; bare NaN and Infinity, numbers of any length and bytes that are not UTF-8 cost nothing.
/// THREAD: one; the store's snapshots may be read on any.
class JsonlReader
{
public:
    static constexpr std::size_t kMaxLine = std::size_t { 16 } << 20; ///< longer lines are skipped
    static constexpr std::size_t kMaxNames = 100'000;
    static constexpr std::size_t kMaxNameBytes = 4096;
    static constexpr std::size_t kMaxNamedLines = 1000;

    /// `xRank`: start with the x key of that rank (see xRank()); used when a file is read again.
    explicit JsonlReader(SeriesStore& store, int xRank = -1);
    ~JsonlReader();
    JsonlReader(const JsonlReader&) = delete;
    JsonlReader& operator=(const JsonlReader&) = delete;

    /// Takes the next bytes of the file, cut anywhere. `arrivalUs` is the wall time of samples
    /// whose line has no time of its own; 0: not known.
    void feed(std::string_view bytes, std::int64_t arrivalUs = 0);
    /// A last line without a newline counts if it is a whole object; else it stays held back. More
    /// bytes may follow.
    void finish();

    /// True when a better x key appeared after rows had been read with a worse one: read the file
    /// again from its start with JsonlReader(store, xRank()).
    [[nodiscard]] bool wantsReread() const noexcept;
    [[nodiscard]] int xRank() const noexcept;
    [[nodiscard]] const LedgerReport& report() const noexcept;
    [[nodiscard]] std::vector<KeyReport> keys() const; ///< in the order of their appearance

private:
    struct State;
    std::unique_ptr<State> m_state;
};

} // namespace desk
