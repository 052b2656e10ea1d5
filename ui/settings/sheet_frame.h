// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QWidget>

class QFormLayout;
class QHBoxLayout;
class QVBoxLayout;

namespace desk {

class SpanLabel;

/// Head, scrolling body and foot of a docked sheet. Esc closes it.
class SheetFrame : public QWidget
{
    Q_OBJECT

public:
    SheetFrame(const QString& objectName, const QString& title, QWidget* parent = nullptr);
    QSize sizeHint() const override;

Q_SIGNALS:
    void closeRequested();

protected:
    void keyPressEvent(QKeyEvent* event) override;
    void setTitle(const QString& title);
    [[nodiscard]] QVBoxLayout* body() const noexcept { return m_body; }
    [[nodiscard]] QHBoxLayout* foot() const noexcept { return m_foot; }
    /// A row of label over field with an explanation below it.
    void addField(const QString& label, QWidget* field, const QString& hint = {});

private:
    SpanLabel* m_title;
    QVBoxLayout* m_body;
    QHBoxLayout* m_foot;
};

} // namespace desk
