// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QWidget>

namespace desk {

class AppModel;
class OrderedTable;

/// Models of the account: base models and what was promoted.
class ModelsPage final : public QWidget
{
    Q_OBJECT

public:
    explicit ModelsPage(AppModel& app, QWidget* parent = nullptr);
    [[nodiscard]] OrderedTable& table() const noexcept { return *m_table; }

private:
    OrderedTable* m_table = nullptr;
};

} // namespace desk
