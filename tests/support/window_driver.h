// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QAbstractItemView>
#include <QComboBox>
#include <QString>
#include <QTest>
#include <QWidget>

#include <functional>
#include <optional>

namespace desk {

/// Drives a window as a person would: finds widgets by object name, moves the mouse, presses keys.
/// Nothing is called behind the widgets' backs. Failures name the widget that was looked for.
class WindowDriver
{
public:
    /// The window must outlive the driver; it is shown and active afterwards.
    explicit WindowDriver(QWidget& window);

    [[nodiscard]] QWidget& window() const noexcept { return m_window; }
    template <class T = QWidget>
    [[nodiscard]] T* find(const QString& objectName) const
    {
        auto* widget = m_window.findChild<T*>(objectName);
        if (widget == nullptr)
            qWarning("no widget is named %s", qPrintable(objectName));
        return widget;
    }

    /// Lets the event loop run until the condition holds; false when the time is over.
    [[nodiscard]] static bool waitFor(const std::function<bool()>& condition, int milliseconds);
    [[nodiscard]] bool waitVisible(const QString& objectName, int milliseconds) const;
    [[nodiscard]] bool waitEnabled(const QString& objectName, int milliseconds) const;

    /// Left click in the middle, after the widget is visible and enabled.
    [[nodiscard]] bool click(const QString& objectName, int milliseconds = 10000) const;
    /// A chord of the window, e.g. "Ctrl+Shift+S".
    void press(const QString& chord) const;
    /// Clicks the field, replaces its text by keystrokes.
    [[nodiscard]] bool type(const QString& objectName, const QString& text) const;
    /// Moves a combo box with the arrow keys until it shows the value (item data or text).
    [[nodiscard]] bool choose(const QString& objectName, const QString& value) const;
    /// Clicks the first row one of whose cells contains the text; false if none comes in time.
    [[nodiscard]] bool clickRow(
        const QString& tableName, const QString& text, int milliseconds = 20000) const;

    /// Display text of the first row that contains `text`, cells joined by " | "; empty if none.
    [[nodiscard]] QString rowText(const QString& tableName, const QString& text) const;
    [[nodiscard]] int rowCount(const QString& tableName) const;

private:
    [[nodiscard]] std::optional<int> rowWith(
        const QAbstractItemView& view, const QString& text) const;

    QWidget& m_window;
};

} // namespace desk
