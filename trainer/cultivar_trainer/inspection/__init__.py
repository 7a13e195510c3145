"""What a network looks at: feature maps, filters, what excites a channel, what separates two classes."""
