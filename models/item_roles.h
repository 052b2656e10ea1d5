// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QList>
#include <QMetaType>
#include <QString>
#include <Qt>

// What item models of this program say about a cell. A role carries meaning (a status, a fraction,
// a series slot); color, glyph, alignment and font are the delegate's answer
// (ui/widgets/cell_delegate.h).

namespace desk {

enum class Role : int
{
    Cell = Qt::UserRole + 1, ///< int(CellKind); also asked of headerData() to align the header
    StatusCode, ///< int(StatusKind)
    Tone, ///< int(Tone) of the display text; default Normal
    Swatch, ///< int: series slot 0..7 that stands for this row; absent or -1: none
    Secondary, ///< QString: quieter text right after the display text, e.g. " / 18,000"
    Reason, ///< QString: why something is not possible; shown, and read to screen readers
    Fraction, ///< double 0..1: bar
    Mark, ///< double 0..1: tick on the bar, e.g. the median of earlier loads
    Spark, ///< SparkValue
    Pills, ///< QList<PillValue>
    Rail, ///< int: RailPart flags of the checkpoint chain
    Action, ///< QString: text of the painted row action ("Open", "Reconcile…"); Enter runs it
    ActionIsButton, ///< bool: draw a box around the action
    IsMono, ///< bool: id or code
    IsStrong, ///< bool
    IsBaseline, ///< bool: the pinned row
    Markup, ///< QString: span markup (ui/style/spans.h); only models made inside ui use it
    SortKey, ///< number or string to sort by; never parse the display text
    Id, ///< QString: stable id of the row (full resource name where there is one)
    Index ///< int: row in the source, for proxies
};

[[nodiscard]] constexpr int operator+(Role role) noexcept
{
    return static_cast<int>(role);
}

enum class CellKind : int
{
    Text, ///< left, elided right
    Name, ///< swatch + name, elided in the middle; pin on the baseline row
    Evidence, ///< status glyph + age
    Number, ///< right-aligned, tabular digits
    Progress, ///< "13,212" + Secondary " / 18,000", bar at the cell's lower edge
    Spark, ///< Role::Spark
    Flag, ///< status glyph + text, e.g. promotable yes / "needs its base"
    Pills, ///< Role::Pills
    Delta, ///< right-aligned signed number; Tone Better or Worse
    Bar, ///< Role::Fraction, Role::Mark
    Action, ///< right-aligned Role::Action
    Markup ///< Role::Markup
};

enum class StatusKind : int
{
    None,
    Running, ///< filled triangle
    Waiting, ///< clock: queued, pending, creating
    Busy, ///< dashed ring: validating, writing, loading
    Good, ///< check: completed, verified, ready
    Attention, ///< triangle with !: stalled, expiring, early-stopped
    Unknown, ///< triangle with ?
    Failed, ///< cross in square
    Off, ///< square: canceled, deleted, idle
    Paused, ///< two bars
    No ///< plain cross: a quiet "no"
};

enum class Tone : int
{
    Normal,
    Secondary,
    Disabled,
    Link,
    Running,
    Waiting,
    Busy,
    Good,
    Attention,
    Failed,
    Better,
    Worse
};

/// Parts of the rail beside checkpoint names: Base, Delta or State, and where the line goes on.
enum RailPart : int
{
    RailNone = 0,
    RailDelta = 1, ///< ring
    RailBase = 2, ///< square
    RailState = 3, ///< diamond beside the rail
    RailAbove = 16,
    RailBelow = 32
};

/// A short trend. INVARIANT: the same version means the same values, so a picture can be cached.
struct SparkValue
{
    QString id; ///< row id; part of the cache key
    quint64 version = 0;
    QList<float> values; ///< equidistant; NaN is a gap; at most about 64 are drawn
    float share = 1.F; ///< 0..1 of the width that is covered (a young run covers less)
    bool endsBroken = false; ///< the last value was not finite
};

struct PillValue
{
    QString text;
    StatusKind status = StatusKind::None;
    bool showsGlyph = false;
};

} // namespace desk

Q_DECLARE_METATYPE(desk::SparkValue)
Q_DECLARE_METATYPE(desk::PillValue)
