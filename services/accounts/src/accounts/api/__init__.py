"""HTTP: translate, call a use case, answer."""

from accounts.api import audit, callers, contacts, customers, interactions, notes, phones, service_requests

DESCRIPTION = """
The customer master: customers with contacts and phones, the history of their calls, and their service requests.

* A token sees the customers of its own part of the organisation (`org_path`) and what lies below it.
* Phone numbers come as E.164 (`+8613800138000`) or in national form with a `region` (ISO 3166 country): that of
  the trunk or branch where the number was written down. There is no default region.
* Updates of a customer name the version that they change: send its `ETag` as `If-Match`.
* `POST`s that create take an `Idempotency-Key`: sent again with the same key, they do their work once.
* Lists come in pages: send `next_cursor` as `cursor` to get the next one.
* What goes wrong is a problem document (RFC 9457) that names the field and the reason.
""".strip()

ROUTERS = (
    callers.router,
    customers.router,
    contacts.router,
    phones.router,
    interactions.router,
    notes.router,
    service_requests.router,
    audit.router,
)
