// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/support/window_driver.h"

#include <QAbstractItemModel>
#include <QLineEdit>

namespace desk {

WindowDriver::WindowDriver(QWidget& window)
    : m_window(window)
{
    m_window.show();
    m_window.activateWindow();
    if (!QTest::qWaitForWindowActive(&m_window, 10000))
        qWarning("the window did not become active");
}

bool WindowDriver::waitFor(const std::function<bool()>& condition, int milliseconds)
{
    return QTest::qWaitFor(condition, milliseconds);
}

bool WindowDriver::waitVisible(const QString& objectName, int milliseconds) const
{
    return waitFor(
        [&] {
            const auto* widget = m_window.findChild<QWidget*>(objectName);
            return widget != nullptr && widget->isVisible();
        },
        milliseconds);
}

bool WindowDriver::waitEnabled(const QString& objectName, int milliseconds) const
{
    return waitFor(
        [&] {
            const auto* widget = m_window.findChild<QWidget*>(objectName);
            return widget != nullptr && widget->isVisible() && widget->isEnabled();
        },
        milliseconds);
}

bool WindowDriver::click(const QString& objectName, int milliseconds) const
{
    if (!waitEnabled(objectName, milliseconds)) {
        qWarning("%s is not there to be clicked", qPrintable(objectName));
        return false;
    }
    QTest::mouseClick(find(objectName), Qt::LeftButton);
    return true;
}

void WindowDriver::press(const QString& chord) const
{
    QTest::keySequence(&m_window, QKeySequence(chord));
}

bool WindowDriver::type(const QString& objectName, const QString& text) const
{
    if (!click(objectName))
        return false;
    auto* edit = find(objectName);
    QTest::keySequence(edit, QKeySequence(QKeySequence::SelectAll));
    QTest::keyClicks(edit, text);
    return true;
}

bool WindowDriver::choose(const QString& objectName, const QString& value) const
{
    if (!waitEnabled(objectName, 10000))
        return false;
    auto* box = find<QComboBox>(objectName);
    if (box == nullptr)
        return false;
    box->setFocus(Qt::TabFocusReason);
    QTest::keyClick(box, Qt::Key_Home);
    const auto isThere = [&] {
        return box->currentData().toString() == value || box->currentText() == value;
    };
    for (int i = 0; i < box->count() && !isThere(); ++i)
        QTest::keyClick(box, Qt::Key_Down);
    return isThere();
}

std::optional<int> WindowDriver::rowWith(const QAbstractItemView& view, const QString& text) const
{
    const auto* model = view.model();
    if (model == nullptr)
        return std::nullopt;
    for (int row = 0; row < model->rowCount(); ++row)
        for (int column = 0; column < model->columnCount(); ++column)
            if (model->index(row, column).data().toString().contains(text))
                return row;
    return std::nullopt;
}

bool WindowDriver::clickRow(const QString& tableName, const QString& text, int milliseconds) const
{
    if (!waitVisible(tableName, milliseconds))
        return false;
    auto* view = find<QAbstractItemView>(tableName);
    if (!waitFor([&] { return rowWith(*view, text).has_value(); }, milliseconds)) {
        qWarning("%s has no row with %s", qPrintable(tableName), qPrintable(text));
        return false;
    }
    const QModelIndex index = view->model()->index(*rowWith(*view, text), 0);
    view->scrollTo(index);
    QTest::mouseClick(
        view->viewport(), Qt::LeftButton, Qt::NoModifier, view->visualRect(index).center());
    return view->currentIndex().row() == index.row();
}

QString WindowDriver::rowText(const QString& tableName, const QString& text) const
{
    const auto* view = find<QAbstractItemView>(tableName);
    if (view == nullptr)
        return {};
    const auto row = rowWith(*view, text);
    if (!row)
        return {};
    QStringList cells;
    for (int column = 0; column < view->model()->columnCount(); ++column)
        cells << view->model()->index(*row, column).data().toString();
    return cells.join(QStringLiteral(" | "));
}

int WindowDriver::rowCount(const QString& tableName) const
{
    const auto* view = find<QAbstractItemView>(tableName);
    return view == nullptr || view->model() == nullptr ? -1 : view->model()->rowCount();
}

} // namespace desk
