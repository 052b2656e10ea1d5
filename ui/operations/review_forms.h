// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "models/review_model.h"

#include <QWidget>

namespace desk {

/// The parameters of one kind of operation. Edits go to the model at every keystroke; what the
/// model says about them (problems, choices) is shown beside the field.
class ReviewForm : public QWidget
{
    Q_OBJECT
public:
    ReviewForm(ReviewModel& model, QWidget* parent);
    /// Takes over what the model holds now; never disturbs the field that is being edited.
    virtual void refresh() = 0;
    /// Where the keyboard starts when the sheet opens; nullptr: the commit button.
    [[nodiscard]] virtual QWidget* firstField() const { return nullptr; }

protected:
    [[nodiscard]] ReviewModel& model() const noexcept { return m_model; }

private:
    ReviewModel& m_model;
};

/// The form for the model's present draft.
[[nodiscard]] ReviewForm* makeReviewForm(ReviewModel& model, QWidget* parent);

} // namespace desk
