"""What is published carries a checkpoint of the log that it was made from."""

from ingestion.publishing import current_publication
from ledger.log.keys import trusted_keys
from ledger.log.notes import Checkpoint
from tests.orchestration.conftest import Office


def test_a_published_file_carries_a_checkpoint_over_every_entry_in_it(office: Office) -> None:
    published = current_publication(office.settings.published_dir)
    assert published is not None
    assert published.checkpoint is not None
    checkpoint = Checkpoint.parse(published.checkpoint)
    assert checkpoint.size >= published.log_size > 1
    assert checkpoint.check_signature(trusted_keys(office.settings.keys_dir))
