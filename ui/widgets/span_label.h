// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "ui/style/spans.h"

#include <QLabel>

namespace desk {

/// A label of one line of span markup. text() stays plain, so role and name for screen readers are
/// those of a QLabel. Elides at the right; never asks for more than its text needs.
class SpanLabel : public QLabel
{
    Q_OBJECT

public:
    explicit SpanLabel(const QString& markup = {}, Face base = Face::Body, Tone tone = Tone::Normal,
        QWidget* parent = nullptr);
    void setMarkup(const QString& markup);
    void setPlain(const QString& text); ///< text from outside; never read as markup
    [[nodiscard]] bool isElided() const; ///< wider than the label at present
    QSize sizeHint() const override;
    QSize minimumSizeHint() const override;

protected:
    void paintEvent(QPaintEvent* event) override;

private:
    Spans m_spans;
    QString m_markup;
    Face m_base;
    Tone m_tone;
};

} // namespace desk
