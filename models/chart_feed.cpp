// SPDX-License-Identifier: GPL-3.0-or-later
#include "models/chart_feed.h"

#include "models/app_model.h"
#include "models/chart_model.h"
#include "models/checkpoint_table_model.h"
#include "models/format.h"
#include "models/job_table_model.h"
#include "services/core/starter.h"
#include "services/metrics/jsonl_reader.h"
#include "services/operations/operation_center.h"
#include "services/runs/run_store.h"

#include <algorithm>

using namespace Qt::StringLiterals;

namespace desk {

namespace {

    constexpr auto kDemoRun = "demo";

    PlotEventKind eventKindOf(CheckpointType type)
    {
        return type == CheckpointType::Training || type == CheckpointType::TrainingLora
            ? PlotEventKind::TrainingState
            : PlotEventKind::Snapshot;
    }

    bool isLiveEvidence(Evidence evidence)
    {
        return evidence == Evidence::Training || evidence == Evidence::Saving
            || evidence == Evidence::Starting || evidence == Evidence::Paused;
    }

} // namespace

ChartFeed::ChartFeed(AppModel& app)
    : m_app(app)
{
}

ChartFeed::~ChartFeed() = default;

void ChartFeed::update()
{
    if (m_app.isFirstRun()) {
        showDemo();
        return;
    }
    QStringList wanted { m_app.selection().job() };
    for (const QString& id : m_app.plotted()) {
        if (!wanted.contains(id))
            wanted.append(id);
    }
    QList<ChartRun> runs;
    QHash<QString, QString> shown;
    QHash<QString, const void*> stores;
    for (const QString& id : std::as_const(wanted)) {
        const JobRow* row = m_app.jobs().find(id);
        if (row == nullptr || row->runFolder.isEmpty())
            continue;
        const auto facts = m_app.services().runs.run(row->runFolder);
        if (!facts || !facts->series)
            continue;
        ChartRun run;
        run.id = facts->id;
        run.label = wanted.size() > 1 ? format::middleElided(row->name, 12) : QString();
        run.slot = std::max(0, row->slot);
        run.store = facts->series;
        run.isLive = isLiveEvidence(row->evidence);
        shown.insert(id, facts->id);
        stores.insert(id, facts->series.get());
        runs.append(run);
    }
    if (m_isDemo || shown != m_shown || stores != m_stores) {
        m_isDemo = false;
        m_shown = shown;
        m_stores = stores;
        m_eventKeys.clear();
        m_app.charts().setRuns(runs);
    } else {
        for (const ChartRun& run : std::as_const(runs))
            m_app.charts().setLive(run.id, run.isLive);
    }
    for (auto it = m_shown.cbegin(); it != m_shown.cend(); ++it) {
        if (const JobRow* row = m_app.jobs().find(it.key()))
            updateEvents(*row, it.value());
    }
}

void ChartFeed::updateEvents(const JobRow& row, const QString& runId)
{
    std::vector<PlotEvent> events;
    for (const CheckpointRow& checkpoint : m_app.checkpoints().rows()) {
        if (checkpoint.job != row.id || !checkpoint.step)
            continue;
        PlotEvent event;
        event.kind = eventKindOf(checkpoint.type);
        event.x = double(*checkpoint.step);
        event.id = checkpoint.name;
        event.text = checkpoint.shortName;
        events.push_back(event);
    }
    for (const Operation& operation : m_app.services().operations.operations()) {
        if (operation.kind != OperationKind::Hotload
            || operation.state != OperationState::Succeeded)
            continue;
        const CheckpointRow* loaded = m_app.checkpoints().find(format::fromUtf8(operation.subject));
        if (loaded == nullptr || loaded->job != row.id || !loaded->step)
            continue;
        PlotEvent event;
        event.kind = PlotEventKind::Hotload;
        event.x = double(*loaded->step);
        event.id = loaded->name;
        event.text =
            tr("%1 loaded to %2")
                .arg(loaded->shortName, format::lastSegment(format::fromUtf8(operation.target)));
        events.push_back(event);
    }
    std::sort(events.begin(), events.end(), [](const PlotEvent& a, const PlotEvent& b) {
        return a.x != b.x ? a.x < b.x : a.id < b.id;
    });
    size_t key = events.size();
    for (const PlotEvent& event : events)
        key = qHashMulti(key, event.id, int(event.kind), event.x);
    if (m_eventKeys.value(runId, 1) == key)
        return;
    m_eventKeys.insert(runId, key);
    m_app.charts().setEvents(runId, std::move(events));
}

void ChartFeed::noteRun(const QString& runId)
{
    if (std::find(m_shown.cbegin(), m_shown.cend(), runId) != m_shown.cend())
        m_app.charts().noteSamples(runId);
}

void ChartFeed::showDemo()
{
    if (m_isDemo)
        return;
    if (!m_demo) {
        m_demo = std::make_shared<SeriesStore>();
        JsonlReader reader(*m_demo);
        reader.feed(starterDemoLedger());
        reader.finish();
    }
    m_isDemo = true;
    m_shown.clear();
    m_stores.clear();
    ChartRun run;
    run.id = QString::fromLatin1(kDemoRun);
    run.label = tr("sample");
    run.store = m_demo;
    run.isDemo = true;
    m_app.charts().setRuns({ run });
}

} // namespace desk
