// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QWidget>

namespace desk {

class AppModel;
class MarkTable;
class OrderedTable;
class SectionHeader;
class SpanLabel;

/// Deployments above, the replicas of the selected one below: what each serves and in which stage
/// it is, in the server's own words.
class DeploymentsPage final : public QWidget
{
    Q_OBJECT

public:
    explicit DeploymentsPage(AppModel& app, QWidget* parent = nullptr);
    [[nodiscard]] OrderedTable& table() const noexcept { return *m_table; }

private:
    void refresh();

    AppModel& m_app;
    SpanLabel* m_summary = nullptr;
    OrderedTable* m_table = nullptr;
    SectionHeader* m_replicaTitle = nullptr;
    MarkTable* m_replicas = nullptr;
};

} // namespace desk
