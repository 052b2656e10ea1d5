// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QWidget>

namespace desk {

class AppModel;
class ChainStrip;
class OrderedTable;
class Pill;
class SpanLabel;

/// Every checkpoint of the selected job, or of all jobs, with the chain that is served.
class CheckpointsPage final : public QWidget
{
    Q_OBJECT

public:
    explicit CheckpointsPage(AppModel& app, QWidget* parent = nullptr);
    [[nodiscard]] OrderedTable& table() const noexcept { return *m_table; }

private:
    QWidget* makeHeader();
    void refresh();

    AppModel& m_app;
    SpanLabel* m_title = nullptr;
    SpanLabel* m_summary = nullptr;
    Pill* m_expiring = nullptr;
    ChainStrip* m_chain = nullptr;
    OrderedTable* m_table = nullptr;
};

} // namespace desk
