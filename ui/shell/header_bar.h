// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QWidget>

class QLineEdit;
class QMenu;
class QToolButton;

namespace desk {

class AppModel;
class Box;
class Pill;
class SpanLabel;

/// The bar below the menu: connection and its safety level, filter of the page, how fresh the data
/// is.
class HeaderBar final : public QWidget
{
    Q_OBJECT

public:
    explicit HeaderBar(AppModel& app, QWidget* parent = nullptr);

    [[nodiscard]] QLineEdit* filterEdit() const noexcept { return m_filter; }
    /// "14 of 34"; empty: no count.
    void setFilterCount(const QString& text);
    void refresh();

private:
    QWidget* makeConnectionBox();
    QWidget* makeFilterBox();
    void fillConnectionMenu();

    AppModel& m_app;
    Box* m_connectionBox = nullptr;
    QToolButton* m_connection = nullptr;
    QToolButton* m_safety = nullptr;
    QWidget* m_split = nullptr;
    QMenu* m_menu = nullptr;
    QLineEdit* m_filter = nullptr;
    SpanLabel* m_count = nullptr;
    Pill* m_readOnly = nullptr;
    QWidget* m_dot = nullptr;
    SpanLabel* m_live = nullptr;
};

} // namespace desk
