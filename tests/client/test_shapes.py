"""The client's documents have the names that the server's answers have: all of them, and no others."""

import pytest

from api.native import schemas, webhook_schemas
from client import documents, webhooks

SAME = [
    (documents.Attempt, schemas.AttemptAnswer),
    (documents.Queue, schemas.QueueAnswer),
    (documents.Urls, schemas.JobUrls),
    (documents.Job, schemas.JobAnswer),
    (documents.JobDetail, schemas.JobDetail),
    (documents.Output, schemas.OutputAnswer),
    (documents.Event, schemas.EventAnswer),
    (documents.QuotedOffer, schemas.QuotedOffer),
    (documents.Quote, schemas.QuoteAnswer),
    (documents.StopAnswer, schemas.StopAnswer),
    (documents.StoppedJob, schemas.StoppedJob),
    (documents.Stopped, schemas.StopManyAnswer),
    (documents.Resolved, schemas.ResolveAnswer),
    (documents.RetryAnswer, schemas.RetriedAnswer),
    (documents.RetriedJob, schemas.RetriedJob),
    (documents.NotRetried, schemas.NotRetried),
    (documents.RetriedJobs, schemas.RetriedJobs),
    (documents.Account, schemas.AccountAnswer),
    (documents.Standing, schemas.AllowanceAnswer),
    (documents.Project, schemas.ProjectAnswer),
    (documents.Campaign, schemas.CampaignAnswer),
    (documents.AddedJob, schemas.AddedJob),
    (documents.RowProblem, schemas.BadRow),
    (documents.Added, schemas.AddedRows),
    (documents.Offer, schemas.OfferAnswer),
    (documents.Input, schemas.InputAnswer),
    (documents.Model, schemas.ModelAnswer),
    (documents.ModelDetail, schemas.ModelDetail),
    (documents.Breaker, schemas.BreakerAnswer),
    (documents.Limit, schemas.LimitAnswer),
    (documents.Sold, schemas.SoldAnswer),
    (documents.Provider, schemas.ProviderAnswer),
    (documents.Retried, schemas.RetryAnswer),
    (documents.File, schemas.FileAnswer),
    (webhooks.Webhook, webhook_schemas.WebhookAnswer),
    (webhooks.NewWebhook, webhook_schemas.NewWebhookAnswer),
    (webhooks.Delivery, webhook_schemas.DeliveryAnswer),
    (webhooks.DeliveryDetail, webhook_schemas.DeliveryDetail),
    (webhooks.Try, webhook_schemas.TryAnswer),
    (webhooks.Replayed, webhook_schemas.ReplayAnswer),
]


@pytest.mark.parametrize(("document", "answer"), SAME, ids=lambda one: one.__name__)
def test_a_document_has_the_names_of_its_answer(document, answer):
    assert document.__annotations__.keys() == answer.model_fields.keys()


def test_terms_are_what_a_job_takes_beside_its_model_and_parameters():
    taken = schemas.NewJobBody.model_fields.keys() - {"model", "parameters"}

    assert documents.Terms.__annotations__.keys() == taken
    assert documents.Row.__annotations__.keys() == schemas.CampaignRow.model_fields.keys()
