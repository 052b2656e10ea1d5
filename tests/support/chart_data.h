// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "models/chart_model.h"
#include "services/metrics/series_store.h"

#include <cmath>
#include <cstdint>
#include <memory>
#include <string>

// Series for chart tests, the same on every machine: no library generator of numbers.

namespace desk::test {

class Noise
{
public:
    /// Roughly normal, mean 0, deviation 1.
    double next()
    {
        double sum = 0;
        for (int i = 0; i < 12; ++i) {
            m_state = m_state * 6364136223846793005ULL + 1442695040888963407ULL;
            sum += double(m_state >> 11) / double(1ULL << 53);
        }
        return sum - 6;
    }

private:
    std::uint64_t m_state = 42;
};

constexpr std::int64_t kStartUs = 1'763'700'000'000'000;

/// Appends steps [from, to) of a run that looks like fine-tuning; one step takes 1.9 s.
inline void appendSteps(SeriesStore& store, int from, int to, double offset = 0)
{
    static Noise noise;
    for (int i = from; i < to; ++i) {
        const double x = i;
        const auto step = XValue::of(std::int64_t(i));
        const std::int64_t wall = kStartUs + std::int64_t(i) * 1'900'000;
        const double base = 1.78 + offset + 1.05 * std::exp(-x / 1050) + 0.42 * std::exp(-x / 5200);
        store.append("train/loss", step, base + 0.07 * noise.next(), wall);
        if (i % 400 == 200)
            store.append("eval/loss", step, base + 0.046, wall);
        store.append("optim/lr", step,
            x < 260 ? 1e-5 * x / 260 : 5e-6 * (1 + std::cos((x - 260) / 17700 * 3.14159265)), wall);
        const double spike = i == 9760 ? 14 : 0;
        store.append("optim/grad_norm", step,
            0.65 + 0.9 * std::exp(-x / 700) + 0.12 * std::abs(noise.next()) + spike, wall);
        store.append("perf/tokens_per_second", step,
            38500 + 400 * noise.next() - (i % 2000 == 1999 ? 17000 : 0), wall);
    }
}

inline ChartRun makeRun(const QString& id, int steps, int slot = 0, double offset = 0)
{
    auto store = std::make_shared<SeriesStore>();
    appendSteps(*store, 0, steps, offset);
    ChartRun run;
    run.id = id;
    run.label = id;
    run.slot = slot;
    run.store = store;
    return run;
}

inline std::vector<PlotEvent> makeEvents()
{
    using K = PlotEventKind;
    const auto event = [](K kind, double x, const char16_t* id) {
        PlotEvent made;
        made.kind = kind;
        made.x = x;
        made.id = QString::fromUtf16(id);
        made.text = made.id;
        return made;
    };
    return { event(K::TrainingState, 2000, u"step-2000"),
        event(K::TrainingState, 4000, u"step-4000"),
        event(K::Snapshot, 6000, u"step-6000-9c1e02d4"), event(K::Hotload, 6500, u"load-1"),
        event(K::TrainingState, 8000, u"step-8000"), event(K::Restart, 8310, u"restart"),
        event(K::Alert, 9760, u"spike"), event(K::TrainingState, 10200, u"step-10200"),
        event(K::Snapshot, 12000, u"step-12000-9c1e02d4"), event(K::Hotload, 12500, u"load-2") };
}

} // namespace desk::test
