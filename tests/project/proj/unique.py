"""An ID that each worker makes as it imports this."""

import uuid

NODE = str(uuid.uuid4())
