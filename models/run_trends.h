// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "models/row_assembly.h"
#include "services/metrics/smoothing.h"

#include <QHash>

#include <map>
#include <memory>

namespace desk {

/// Smoothed loss and slope of every run, extended as ledgers grow: O(new samples) an update.
/// THREAD: one.
class RunTrends
{
public:
    /// The weight named in the header of the loss column.
    static constexpr double kWeight = 0.9;

    /// Works off what is new in these runs and forgets those that are gone.
    void update(const QList<RunFacts>& runs);
    [[nodiscard]] const QHash<QString, RunTrend>& trends() const noexcept { return m_trends; }

private:
    struct State
    {
        std::unique_ptr<SmoothedSeries> smoothed;
        std::size_t size = 0;
    };
    void updateRun(const RunFacts& run);

    std::map<QString, State> m_states;
    QHash<QString, RunTrend> m_trends;
};

} // namespace desk
