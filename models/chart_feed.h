// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "models/rows.h"

#include <QHash>
#include <QObject>
#include <QString>

#include <memory>

namespace desk {

class AppModel;
class SeriesStore;

/// Gives the charts what the selection asks for: the selected job and those plotted beside it,
/// their checkpoints and hot loads as events; the recorded sample run while there is nothing else.
/// THREAD: GUI.
class ChartFeed final : public QObject
{
    Q_OBJECT
public:
    explicit ChartFeed(AppModel& app);
    ~ChartFeed() override;

    void update(); ///< after the rows or the selection changed
    void noteRun(const QString& runId); ///< the ledger of a run has grown

private:
    void showDemo();
    void updateEvents(const JobRow& row, const QString& runId);

    AppModel& m_app;
    std::shared_ptr<SeriesStore> m_demo;
    QHash<QString, QString> m_shown; ///< run id by row id
    QHash<QString, const void*> m_stores; ///< to see that a ledger was replaced
    QHash<QString, quint64> m_eventKeys;
    bool m_isDemo = false;
};

} // namespace desk
