// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "models/verify_model.h"

#include <QWidget>

namespace desk {

/// The equation that was checked: boxes joined by ⊕ and =, and the proof in words.
class EquationStrip final : public QWidget
{
    Q_OBJECT
public:
    explicit EquationStrip(QWidget* parent = nullptr);
    void setTerms(std::vector<VerifyTerm> terms, const QString& proof, bool isProven);
    [[nodiscard]] QSize sizeHint() const override;
    [[nodiscard]] QSize minimumSizeHint() const override;

protected:
    void paintEvent(QPaintEvent* event) override;

private:
    void paintTerm(QPainter& painter, const QRectF& box, const VerifyTerm& term);

    std::vector<VerifyTerm> m_terms;
    QString m_proof;
    bool m_isProven = false;
};

/// Stage rates as bars on a logarithmic scale, the limiting stage named.
class ThroughputBars final : public QWidget
{
    Q_OBJECT
public:
    explicit ThroughputBars(QWidget* parent = nullptr);
    void setStages(std::vector<VerifyModel::StageBar> stages);
    [[nodiscard]] QSize sizeHint() const override;
    [[nodiscard]] QSize minimumSizeHint() const override { return sizeHint(); }

protected:
    void paintEvent(QPaintEvent* event) override;

private:
    std::vector<VerifyModel::StageBar> m_stages;
};

} // namespace desk
