// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "models/item_roles.h"

#include <QLabel>

namespace desk {

/// A small tinted word: "LIVE", "linked", "ready 2/2", "T3 · creates a named object".
class Pill : public QLabel
{
    Q_OBJECT

public:
    explicit Pill(
        const QString& text = {}, StatusKind kind = StatusKind::None, QWidget* parent = nullptr);
    void setStatus(StatusKind kind);
    void setShowsGlyph(bool shows); ///< the status glyph before the text
    void setIconName(const QString& name); ///< a line icon before the text instead
    QSize sizeHint() const override;
    QSize minimumSizeHint() const override { return sizeHint(); }

protected:
    void paintEvent(QPaintEvent* event) override;

private:
    StatusKind m_kind;
    bool m_showsGlyph = false;
    QString m_iconName;
};

/// A key as it stands on the keyboard: "Esc", "F12".
class KeyCap final : public QLabel
{
    Q_OBJECT

public:
    explicit KeyCap(const QString& key, QWidget* parent = nullptr);
    QSize sizeHint() const override;
    QSize minimumSizeHint() const override { return sizeHint(); }

protected:
    void paintEvent(QPaintEvent* event) override;
};

} // namespace desk
