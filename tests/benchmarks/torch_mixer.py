"""The article's Mixer in plain PyTorch: model, augmentation, optimizer. Needs torch and nothing of Keras."""

import torch
from torch import nn
from torch.nn import functional


def torch_model(config, images, compiled=False):
    """Two functions: one trains a step on (B, H, W, 3) images and (B,) labels, one gives (B, classes) logits.

    PyTorch computes eagerly, or by `torch.compile`.
    """

    class Mixer(nn.Module):
        def __init__(self):
            super().__init__()

            def mlp(width, hidden):
                parts = nn.Linear(width, hidden), nn.GELU(approximate="tanh"), nn.Linear(hidden, width)
                return nn.Sequential(*parts, nn.Dropout(config.dropout))

            patches, width = (config.image_size // config.patch_size) ** 2, config.hidden_dim
            self.embed = nn.Linear(3 * config.patch_size**2, width)
            blocks = range(config.num_blocks)
            self.norms = nn.ModuleList(nn.LayerNorm(width, eps=1e-6) for _ in blocks)
            self.tokens = nn.ModuleList(mlp(patches, config.tokens_mlp_dim) for _ in blocks)
            self.channels = nn.ModuleList(mlp(width, config.channels_mlp_dim) for _ in blocks)
            self.head = nn.Sequential(nn.Dropout(config.dropout), nn.Linear(width, config.num_classes))

        def forward(self, x):  # (B, 3, H, W)
            x = functional.unfold(x, config.patch_size, stride=config.patch_size).transpose(1, 2)  # (B, S, P*P*3)
            x = self.embed(x)
            for norm, tokens, channels in zip(self.norms, self.tokens, self.channels, strict=True):
                x = x + tokens(norm(x).transpose(1, 2)).transpose(1, 2)
                x = x + channels(norm(x))
            return self.head(x.mean(1))

    def augment(x):
        count = len(x)
        turn = torch.zeros(count, 2, 3)
        turn[:, 0, 0] = (0.8 + 0.4 * torch.rand(count)) * (1 - 2 * (torch.rand(count) < 0.5).float())
        turn[:, 1, 1] = 0.8 + 0.4 * torch.rand(count)
        grid = functional.affine_grid(turn, x.shape, align_corners=False)
        return functional.grid_sample(x, grid, padding_mode="reflection", align_corners=False)

    model = torch.compile(Mixer()) if compiled else Mixer()
    optimizer = torch.optim.AdamW(model.parameters(), 0.005, weight_decay=0.02)
    mean, std = (torch.tensor(images.mean((0, 1, 2))), torch.tensor(images.std((0, 1, 2))))

    def step(pictures, labels):
        x = ((torch.from_numpy(pictures).float() - mean) / std).permute(0, 3, 1, 2).float()
        loss = functional.cross_entropy(model(augment(x)), torch.from_numpy(labels))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    def predict(pictures):
        model.eval()
        with torch.no_grad():
            x = ((torch.from_numpy(pictures).float() - mean) / std).permute(0, 3, 1, 2).float()
            found = model(x).numpy()
        model.train()
        return found

    return step, predict
