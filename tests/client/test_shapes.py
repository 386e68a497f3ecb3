"""The client's documents have the names that the server's answers have: all of them, and no others."""

import pytest

from api.native.schemas import campaigns, commands, files, jobs, market, requests
from api.native.schemas import webhooks as told_of_webhooks
from client import documents, webhooks

SAME = [
    (documents.Attempt, jobs.AttemptAnswer),
    (documents.Queue, jobs.QueueAnswer),
    (documents.Urls, jobs.JobUrls),
    (documents.Job, jobs.JobAnswer),
    (documents.JobDetail, jobs.JobDetail),
    (documents.Output, jobs.OutputAnswer),
    (documents.Event, jobs.EventAnswer),
    (documents.QuotedOffer, jobs.QuotedOffer),
    (documents.Quote, jobs.QuoteAnswer),
    (documents.StopAnswer, commands.StopAnswer),
    (documents.StoppedJob, commands.StoppedJob),
    (documents.Stopped, commands.StopManyAnswer),
    (documents.Resolved, commands.ResolveAnswer),
    (documents.RetryAnswer, commands.RetriedAnswer),
    (documents.RetriedJob, commands.RetriedJob),
    (documents.NotRetried, commands.NotRetried),
    (documents.RetriedJobs, commands.RetriedJobs),
    (documents.Account, campaigns.AccountAnswer),
    (documents.Standing, campaigns.AllowanceAnswer),
    (documents.Project, campaigns.ProjectAnswer),
    (documents.Campaign, campaigns.CampaignAnswer),
    (documents.AddedJob, campaigns.AddedJob),
    (documents.RowProblem, campaigns.BadRow),
    (documents.Added, campaigns.AddedRows),
    (documents.Offer, market.OfferAnswer),
    (documents.Input, market.InputAnswer),
    (documents.Model, market.ModelAnswer),
    (documents.ModelDetail, market.ModelDetail),
    (documents.Breaker, market.BreakerAnswer),
    (documents.Limit, market.LimitAnswer),
    (documents.Sold, market.SoldAnswer),
    (documents.Provider, market.ProviderAnswer),
    (documents.Retried, market.RetryAnswer),
    (documents.File, files.FileAnswer),
    (webhooks.Webhook, told_of_webhooks.WebhookAnswer),
    (webhooks.NewWebhook, told_of_webhooks.NewWebhookAnswer),
    (webhooks.Delivery, told_of_webhooks.DeliveryAnswer),
    (webhooks.DeliveryDetail, told_of_webhooks.DeliveryDetail),
    (webhooks.Try, told_of_webhooks.TryAnswer),
    (webhooks.Replayed, told_of_webhooks.ReplayAnswer),
]


@pytest.mark.parametrize(("document", "answer"), SAME, ids=lambda one: one.__name__)
def test_a_document_has_the_names_of_its_answer(document, answer):
    assert document.__annotations__.keys() == answer.model_fields.keys()


def test_terms_are_what_a_job_takes_beside_its_model_and_parameters():
    taken = requests.NewJobBody.model_fields.keys() - {"model", "parameters"}

    assert documents.Terms.__annotations__.keys() == taken
    assert documents.Row.__annotations__.keys() == requests.CampaignRow.model_fields.keys()
